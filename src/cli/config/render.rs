//! The default configuration as a commented file.

use super::{Config, settings};

const HEAD: &str = "\
# Kalends: every setting with its default. Environment variables win over this file, flags over both.
# Settings without a default are commented out and show an example.
";

/// The file that `kalends config print-default` prints.
pub fn print_default() -> String {
    let defaults = Config::default();
    let mut text = HEAD.to_owned();
    let mut section = "";
    for setting in settings() {
        if setting.section != section {
            section = setting.section;
            text.push_str(&format!("\n[{section}]\n"));
            if section == "limits" {
                text.push_str("# Environment: KALENDS_LIMITS_ and the name in capitals.\n");
            }
        }
        for line in wrap(&setting.meaning, 108) {
            text.push_str(&format!("# {line}\n"));
        }
        if section != "limits" {
            text.push_str(&format!("# Environment: {}\n", setting.variable()));
        }
        match setting.get(&defaults) {
            Some(value) => text.push_str(&format!("{} = {value}\n", setting.key)),
            None => text.push_str(&format!("#{} = {}\n", setting.key, setting.example)),
        }
    }
    text
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
