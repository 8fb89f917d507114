//! Policies from files, from stdin and from an editor.

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use keep_sdk::{DisplayText, ErrorCode, Fault};

use crate::secrets::unreadable;

/// Longest policy that is read, in bytes.
const MAX_LEN: u64 = 512 << 10;

/// A policy from a file, or from stdin for `-`.
pub fn read(path: &Path) -> Result<String, Fault> {
    let name = DisplayText::truncated(&path.display().to_string(), 200);
    let mut text = String::new();
    let outcome = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_LEN).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_LEN).read_to_string(&mut text))
    };
    outcome.map_err(|error| unreadable(name.as_str(), &error))?;
    Ok(text)
}

/// Lets the person change a policy in `$VISUAL` or `$EDITOR`.
pub fn edit(text: &str) -> Result<String, Fault> {
    let failed = |error: std::io::Error| {
        Fault::new(ErrorCode::Storage, format!("cannot edit: {error}"))
            .with_hint("give the policy with --file")
    };
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok()).ok_or_else(|| {
        Fault::new(ErrorCode::Usage, "no editor is set")
            .with_hint("set EDITOR, or give the policy with --file")
    })?;
    let mut file =
        tempfile::Builder::new().prefix("keep-policy-").suffix(".toml").tempfile().map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.flush()).map_err(failed)?;
    // The variable may hold arguments too, as in `code --wait`.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = Command::new(program).args(words).arg(file.path()).status().map_err(failed)?;
    if !status.success() {
        return Err(
            Fault::new(ErrorCode::Usage, "the editor ended without success").with_hint("nothing was changed")
        );
    }
    std::fs::read_to_string(file.path()).map_err(failed)
}

/// A policy is not renamed by being edited.
pub fn other_name(name: &str, other: &str) -> Fault {
    Fault::new(ErrorCode::InvalidInput, format!("the text is a policy \"{other}\", not \"{name}\""))
        .with_hint("add one of another name with `keep policy add`")
}
