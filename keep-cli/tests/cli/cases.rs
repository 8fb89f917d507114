//! Behaviour as data: every file in `tests/cases` is a history of commands in a directory of its own.
//!
//! | line | meaning |
//! |---|---|
//! | `# …` | a comment |
//! | `@ write FILE TEXT` | writes a file |
//! | `@ truncate FILE BYTES` | cuts a file |
//! | `$ NAME=value -OTHER keep …` | runs `keep` with a variable set and another unset; words as in a shell, with `'…'` |
//! | `< …` | a line on its stdin |
//! | `? 3` | its exit code, where that is not 0 |
//! | `> …` | a line of its stdout |
//! | `! …` | a line of its stderr |
//!
//! `[DIR]` is the directory; `[..]` in an expected line stands for any text, and a line `...` for any lines.

use std::path::Path;

use crate::world::{Ran, World};

/// One command and what it must do.
#[derive(Default)]
struct Step {
    line: usize,
    words: Vec<String>,
    stdin: String,
    code: i32,
    stdout: Vec<String>,
    stderr: Vec<String>,
}

enum Item {
    Run(Step),
    Write(String, String),
    Truncate(String, u64),
}

#[test]
fn every_case_holds() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "the cases are missing");
    let failures: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = files.iter().map(|file| scope.spawn(|| play(file))).collect();
        running.into_iter().filter_map(|case| case.join().unwrap().err()).collect()
    });
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn play(file: &Path) -> Result<(), String> {
    let world = World::new();
    let name = file.file_name().unwrap().to_string_lossy();
    for item in parse(&std::fs::read_to_string(file).unwrap(), &world) {
        match item {
            Item::Write(file, text) => std::fs::write(world.path().join(file), text).unwrap(),
            Item::Truncate(file, length) => {
                let file = std::fs::File::options().write(true).open(world.path().join(file)).unwrap();
                file.set_len(length).unwrap();
            }
            Item::Run(step) => {
                let ran = run(&step, &world);
                check(&step, &ran).map_err(|why| format!("{name}:{}: {why}\n{ran:#?}", step.line))?;
            }
        }
    }
    Ok(())
}

fn parse(text: &str, world: &World) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let text = text.replace("[DIR]", &world.path().display().to_string());
    for (number, line) in text.lines().enumerate() {
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        if mark == "$" {
            items.push(Item::Run(Step { line: number + 1, words: words(rest), ..Step::default() }));
            continue;
        }
        if mark == "@" {
            items.push(directive(rest));
            continue;
        }
        if mark == "#" || mark.is_empty() {
            continue;
        }
        let Some(Item::Run(step)) = items.last_mut() else { panic!("line {}: no command yet", number + 1) };
        match mark {
            "<" => step.stdin += &format!("{rest}\n"),
            "?" => step.code = rest.parse().unwrap(),
            ">" => step.stdout.push(rest.to_owned()),
            "!" => step.stderr.push(rest.to_owned()),
            other => panic!("line {}: what is {other:?}?", number + 1),
        }
    }
    items
}

fn directive(text: &str) -> Item {
    let mut parts = text.splitn(3, ' ').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    match next().as_str() {
        "write" => Item::Write(next(), next()),
        "truncate" => Item::Truncate(next(), next().parse().unwrap()),
        other => panic!("what is {other:?}?"),
    }
}

fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for c in text.chars() {
        match c {
            '\'' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if std::mem::take(&mut begun) {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    assert!(!quoted, "{text}");
    if begun {
        words.push(word);
    }
    words
}

fn run(step: &Step, world: &World) -> Ran {
    let keep = step.words.iter().position(|word| word == "keep").expect("a command begins with keep");
    let (variables, arguments) = step.words.split_at(keep);
    let arguments: Vec<&str> = arguments[1..].iter().map(String::as_str).collect();
    world.run_with(&arguments, &step.stdin, |command| {
        for variable in variables {
            match variable.split_once('=') {
                Some((name, value)) => command.env(name, value),
                None => command.env_remove(variable.trim_start_matches('-')),
            };
        }
    })
}

fn check(step: &Step, ran: &Ran) -> Result<(), String> {
    if ran.code != Some(step.code) {
        return Err(format!("exit code {:?}, not {}", ran.code, step.code));
    }
    for (stream, expected, found) in
        [("stdout", &step.stdout, &ran.stdout), ("stderr", &step.stderr, &ran.stderr)]
    {
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        let found: Vec<&str> = found.lines().collect();
        if !lines_match(&expected, &found) {
            return Err(format!("{stream} is not\n{}", expected.join("\n")));
        }
    }
    Ok(())
}

fn lines_match(expected: &[&str], found: &[&str]) -> bool {
    match expected {
        [] => found.is_empty(),
        ["...", rest @ ..] => (0..=found.len()).any(|skipped| lines_match(rest, &found[skipped..])),
        [line, rest @ ..] => found
            .split_first()
            .is_some_and(|(first, others)| line_matches(line, first) && lines_match(rest, others)),
    }
}

fn line_matches(expected: &str, found: &str) -> bool {
    match expected.split_once("[..]") {
        None => expected == found,
        Some((head, rest)) => found.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices()
                .map(|(at, _)| at)
                .chain([tail.len()])
                .any(|at| line_matches(rest, &tail[at..]))
        }),
    }
}

#[test]
fn the_runner_sees_differences() {
    assert!(line_matches("a [..] c", "a b b c") && !line_matches("a [..] c", "a b"));
    assert!(lines_match(&["x", "..."], &["x", "y", "z"]) && !lines_match(&["x"], &["x", "y"]));
    assert_eq!(words("A=1 keep 'b c' ''"), ["A=1", "keep", "b c", ""]);
    let step = Step { stdout: vec!["a".into()], ..Step::default() };
    let ran = |stdout: &str, code| Ran { stdout: stdout.into(), stderr: String::new(), code: Some(code) };
    assert!(check(&step, &ran("a\n", 0)).is_ok());
    assert!(check(&step, &ran("b\n", 0)).is_err() && check(&step, &ran("a\n", 1)).is_err());
}
