//! The command `golo`, where the tests of other crates' programs can find it.

fn main() -> std::process::ExitCode {
    golo_cli::main()
}
