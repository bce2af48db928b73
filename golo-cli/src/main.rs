//! The command `golo`.

fn main() -> std::process::ExitCode {
    golo_cli::main()
}
