//! Compares the manifests with the table.

use std::collections::BTreeSet;

use super::table::{PROGRAMS_ONLY, Place, place};
use crate::workspace::{Kind, Package};

/// Every arrow that the rule forbids, as a sentence that says what to do.
pub fn violations(packages: &[Package]) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    packages.iter().flat_map(|package| of_package(package, &ours)).collect()
}

fn of_package(package: &Package, ours: &BTreeSet<&str>) -> Vec<String> {
    let from = &package.name;
    let Some(stands) = place(from) else {
        return vec![format!(
            "{from} has no place: add it to xtask/src/layers/table.rs and to docs/architecture.md"
        )];
    };
    let mut found = Vec::new();
    // A package that names itself as a dev-dependency switches its own test features on: no arrow.
    for dependency in package.dependencies.iter().filter(|dependency| dependency.name != *from) {
        let to = dependency.name.as_str();
        let reason = if ours.contains(to) {
            place(to).and_then(|target| forbidden(stands, target, to, dependency.kind))
        } else {
            outside(stands, to, dependency.kind)
        };
        if let Some(reason) = reason {
            found.push(format!("{from} -> {to}{}: {reason}", table_name(dependency.kind)));
        }
    }
    found
}

const fn table_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Normal => "",
        Kind::Dev => " (dev-dependency)",
        Kind::Build => " (build-dependency)",
    }
}

/// Why an arrow inside the workspace is forbidden, if it is.
fn forbidden(from: Place, target: Place, to: &str, kind: Kind) -> Option<String> {
    match (from, target) {
        (Place::Tool, _) | (Place::Testing, Place::Library(_)) => None,
        (_, Place::Tool) => Some("nothing depends on the workspace's tools".to_owned()),
        (Place::Library(_) | Place::FrontEnd(_), Place::Testing) if kind == Kind::Dev => None,
        (_, Place::Testing) => Some("test support is a dev-dependency only".to_owned()),
        (Place::FrontEnd(allowed), _) if allowed.contains(&to) => None,
        (Place::FrontEnd(allowed), _) => {
            Some(format!("a front end uses {} only; what it needs is re-exported there", allowed.join(", ")))
        }
        (_, Place::FrontEnd(_)) => Some("nothing depends on a front end".to_owned()),
        (Place::Library(high), Place::Library(low)) if low < high => None,
        (Place::Library(high), Place::Library(low)) => Some(format!(
            "a library of level {high} uses lower levels only, and this one is of level {low}; \
             move the shared part down"
        )),
    }
}

/// Why an outside crate is forbidden here, if it is.
fn outside(from: Place, to: &str, kind: Kind) -> Option<String> {
    match from {
        Place::Library(_) if kind == Kind::Normal && PROGRAMS_ONLY.contains(&to) => {
            Some("libraries have their own error types and no command line".to_owned())
        }
        Place::Library(_) | Place::FrontEnd(_) | Place::Testing | Place::Tool => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::{Dependency, Workspace};

    fn package(name: &str, dependencies: &[(&str, Kind)]) -> Package {
        Package {
            name: name.to_owned(),
            version: String::new(),
            id: String::new(),
            manifest_path: "Cargo.toml".into(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: *kind })
                .collect(),
        }
    }

    fn found(packages: &[Package], arrow: &str) -> bool {
        violations(packages).iter().any(|violation| violation.starts_with(arrow))
    }

    /// The named package with one dependency, beside every other package of the table without any.
    fn house(name: &str, to: &str, kind: Kind) -> Vec<Package> {
        let mut packages: Vec<Package> = super::super::table::TABLE
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(other, _)| package(other, &[]))
            .collect();
        packages.push(package(name, &[(to, kind)]));
        packages
    }

    #[test]
    fn downward_arrows_are_allowed() {
        for (from, to) in [
            ("keep-cipher", "keep-types"),
            ("keep-nip46", "keep-cipher"),
            ("keep-vault", "keep-store"),
            ("keep-signer", "keep-net"),
            ("keep-sdk", "keep-signer"),
            ("keep-mcp", "keep-sdk"),
            ("keep-cli", "keep-sdk"),
            ("keep-cli", "keep-server"),
            ("keep-fuzz", "keep-testing"),
            ("xtask", "keep-cli"),
            ("keep-testing", "keep-signer"),
            ("keep-store", "keep-store"),
        ] {
            assert_eq!(violations(&house(from, to, Kind::Normal)), Vec::<String>::new(), "{from} -> {to}");
        }
    }

    #[test]
    fn upward_and_sideways_arrows_are_found() {
        for (from, to) in [
            ("keep-types", "keep-cipher"),
            ("keep-policy", "keep-audit"),
            ("keep-store", "keep-vault"),
            ("keep-vault", "keep-net"),
            ("keep-kms", "keep-signer"),
            ("keep-signer", "keep-sdk"),
            ("keep-server", "keep-mcp"),
        ] {
            for kind in [Kind::Normal, Kind::Dev, Kind::Build] {
                assert!(found(&house(from, to, kind), &format!("{from} -> {to}")), "{from} -> {to} {kind:?}");
            }
        }
    }

    #[test]
    fn a_front_end_sees_the_facade_only() {
        for (from, to) in [
            ("keep-cli", "keep-vault"),
            ("keep-cli", "keep-types"),
            ("keep-mobile", "keep-mcp"),
            ("keep-agent-py", "keep-signer"),
            ("keep-agent-ts", "keep-cli"),
        ] {
            assert!(found(&house(from, to, Kind::Normal), &format!("{from} -> {to}")), "{from} -> {to}");
        }
        assert!(found(&house("keep-sdk", "keep-cli", Kind::Normal), "keep-sdk -> keep-cli"));
    }

    #[test]
    fn test_support_stays_in_tests() {
        assert!(found(&house("keep-store", "keep-testing", Kind::Normal), "keep-store -> keep-testing"));
        assert!(found(&house("keep-cli", "keep-testing", Kind::Build), "keep-cli -> keep-testing"));
        for from in ["keep-types", "keep-store", "keep-cli"] {
            assert_eq!(violations(&house(from, "keep-testing", Kind::Dev)), Vec::<String>::new());
        }
    }

    #[test]
    fn tools_are_not_depended_on() {
        assert!(found(&house("keep-testing", "keep-fuzz", Kind::Normal), "keep-testing -> keep-fuzz"));
        assert!(found(&house("keep-cli", "xtask", Kind::Dev), "keep-cli -> xtask"));
    }

    #[test]
    fn program_crates_stay_out_of_libraries() {
        assert!(found(&house("keep-store", "anyhow", Kind::Normal), "keep-store -> anyhow"));
        assert!(!found(&house("keep-store", "anyhow", Kind::Dev), "keep-store -> anyhow"));
        assert!(!found(&house("keep-cli", "clap", Kind::Normal), "keep-cli -> clap"));
    }

    #[test]
    fn an_unknown_package_is_found() {
        assert!(found(&[package("keep-surprise", &[])], "keep-surprise has no place"));
    }

    #[test]
    fn this_workspace_keeps_the_rule() {
        let workspace = Workspace::load().unwrap();
        assert!(workspace.package("keep-types").is_some());
        assert_eq!(violations(workspace.packages()), Vec::<String>::new());
    }
}
