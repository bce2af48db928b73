//! Entry point of the `golo` command.

fn main() -> std::process::ExitCode {
    golo_cli::main()
}
