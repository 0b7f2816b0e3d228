//! The profiles of the versions of Spark that are built in.

use std::sync::LazyLock;

use crate::java::{Class, Node, Profile, Tree};

/// A family of versions whose classes have the same descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Version {
    /// 3.4 and 3.5, as they are built for Scala 2.12.
    V3_5,
    /// 4.0.
    V4_0,
    /// 4.1.
    V4_1,
}

static V3_5: LazyLock<Profile> = LazyLock::new(|| parse(include_str!("profiles/3.5")));
static V4_0: LazyLock<Profile> = LazyLock::new(|| parse(include_str!("profiles/4.0")));
static V4_1: LazyLock<Profile> = LazyLock::new(|| parse(include_str!("profiles/4.1")));

fn parse(text: &str) -> Profile {
    Profile::parse(text).expect("the profiles that are built in are valid, by a test")
}

impl Version {
    /// All versions.
    pub const ALL: [Version; 3] = [Version::V3_5, Version::V4_0, Version::V4_1];

    /// The descriptors of its classes.
    pub fn profile(self) -> &'static Profile {
        match self {
            Version::V3_5 => &V3_5,
            Version::V4_0 => &V4_0,
            Version::V4_1 => &V4_1,
        }
    }

    /// The versions whose processes can have written a tree: those that have each class of it that they know
    /// with the serialVersionUID that stands there. `CheckExistence` tells 3.x from 4.x, a message with an
    /// endpoint reference 4.0 from 4.1.
    pub fn of_tree(tree: &Tree) -> impl Iterator<Item = Version> {
        Self::ALL
            .into_iter()
            .filter(move |version| accepts(version.profile(), tree))
    }
}

/// Whether a process with these classes can read the objects of a tree, as far as the profile knows their
/// classes.
pub(super) fn accepts(profile: &Profile, tree: &Tree) -> bool {
    tree.nodes().all(|node| match node {
        Node::Class(class) => accepts_class(profile, class),
        _ => true,
    })
}

/// Whether a process with these classes has the class with this number, or the profile does not know it.
pub(super) fn accepts_class(profile: &Profile, class: &Class) -> bool {
    let known = class.name.to_str().and_then(|name| profile.class(&name));
    // Without flags it stands for a `Class` object alone, of which only the name counts.
    class.flags.0 == 0 || known.is_none_or(|known| known.suid == class.suid)
}
