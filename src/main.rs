//! The `kalends` binary: everything is in the library's `cli` module.

/// The allocator: what requests use goes back to the system, and threads do not wait for each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    kalends::cli::main()
}
