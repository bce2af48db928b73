//! The command `golo`, as a binary that the tests in this package can find.

fn main() -> std::process::ExitCode {
    golo_cli::main()
}
