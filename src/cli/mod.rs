//! Layer 8: the commands.
pub mod config;
pub mod docs;
/// The binary's main.
pub fn main() -> std::process::ExitCode {
    todo!()
}

/// For tests: the file `path` of the repository is `text`. With `KALENDS_BLESS=1` in the environment it is written anew.
#[cfg(test)]
fn generated(path: &str, text: &str) {
    let full = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("KALENDS_BLESS").is_some() {
        std::fs::write(&full, text).expect("the repository can be written");
    }
    let found = std::fs::read_to_string(&full).unwrap_or_default();
    assert!(found == text, "{path} is not current; write it anew: KALENDS_BLESS=1 cargo test --lib");
}
