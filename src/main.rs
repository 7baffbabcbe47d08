//! The `kalends` binary: everything is in the library's `cli` module.

fn main() -> std::process::ExitCode {
    kalends::cli::main()
}
