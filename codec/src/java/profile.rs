//! Profiles: the class descriptors that one version of a program writes and accepts, as data.
//!
//! A JVM refuses an object whose class has another serialVersionUID than its own class of that name, and most
//! of these numbers are computed from the compiled class. So each version has a table of its own, which a
//! tool makes from the version's jars (`docs/spark-rpc.md`), one class after another:
//!
//! ```text
//! name 4.1
//! class org.apache.spark.rpc.RpcAddress 2b6a5679f51c5dc4 02
//!   I port
//!   L host Ljava/lang/String;
//! class java.lang.Integer 12e2a0a4f7818738 02 java.lang.Number
//! ```
//!
//! A class line has the name, the serialVersionUID, the flags and the superclass if that is serialisable;
//! the lines below have its fields: type code, name, and the type of a reference. Everything else is a
//! property of the profile: a word and its value.

use std::collections::{BTreeMap, BTreeSet};

use super::{FieldKind, Flags};

/// The class descriptors of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    properties: BTreeMap<String, String>,
    classes: BTreeMap<String, ProfileClass>,
}

/// The descriptor of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileClass {
    /// The name as `Class.getName` gives it.
    pub name: String,
    /// The serialVersionUID.
    pub suid: i64,
    /// How its objects are written.
    pub flags: Flags,
    /// The fields in the order of Java's descriptor.
    pub fields: Vec<ProfileField>,
    /// The name of the next serialisable superclass.
    pub super_class: Option<String>,
}

/// A field of a [`ProfileClass`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileField {
    /// Its type.
    pub kind: FieldKind,
    /// Its name.
    pub name: String,
    /// For a reference type its type, as `Ljava/lang/String;`.
    pub type_name: Option<String>,
}

/// A profile that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the profile: {what}")]
pub struct ProfileError {
    /// The line, from 1.
    pub line: usize,
    /// The violated rule.
    pub what: &'static str,
}

impl Profile {
    /// The longest line of superclasses in a profile.
    pub const MAX_SUPERS: usize = 8;

    /// Reads a profile.
    ///
    /// # Errors
    /// [`ProfileError`] for a line that is no part of a profile, a class that is there twice, a superclass
    /// that is missing, and classes that are above themselves.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let mut profile = Self::default();
        let mut open = None;
        for (index, content) in text.lines().enumerate() {
            let line = index + 1;
            let at = |what| ProfileError { line, what };
            let indented = content.starts_with(' ');
            let words: Vec<&str> = content.split_whitespace().collect();
            match words[..] {
                [] => {}
                [word, ..] if word.starts_with('#') => {}
                _ if indented => {
                    let class: &mut ProfileClass =
                        open.as_mut().ok_or(at("a field outside of a class"))?;
                    class.add(field(&words).map_err(at)?).map_err(at)?;
                }
                ["class", ..] => {
                    profile.close(open.take()).map_err(at)?;
                    open = Some(class(&words).map_err(at)?);
                }
                [word, value] => {
                    profile.properties.insert(word.into(), value.into());
                }
                _ => return Err(at("neither a class nor a field nor a property")),
            }
        }
        let line = text.lines().count();
        let at = |what| ProfileError { line, what };
        profile.close(open).map_err(at)?;
        profile.check_supers().map_err(at)?;
        Ok(profile)
    }

    /// The classes that are the same in two versions, for a peer that may be either. A
    /// superclass that differs is left out, and its fields with it; they are null for the peer.
    pub fn common(&self, other: &Profile) -> Profile {
        let mut common = Profile::default();
        for (name, class) in &self.classes {
            if other.classes.get(name) == Some(class) {
                common.classes.insert(name.clone(), class.clone());
            }
        }
        let names: BTreeSet<String> = common.classes.keys().cloned().collect();
        for class in common.classes.values_mut() {
            class.super_class.take_if(|name| !names.contains(name));
        }
        for (word, value) in &self.properties {
            match other.properties.get(word) {
                Some(same) if same == value => {
                    common.properties.insert(word.clone(), value.clone())
                }
                Some(differs) => common
                    .properties
                    .insert(word.clone(), format!("{value} or {differs}")),
                None => None,
            };
        }
        common
    }

    /// A property, such as its name.
    pub fn property(&self, word: &str) -> Option<&str> {
        self.properties.get(word).map(String::as_str)
    }

    /// The class of this name.
    pub fn class(&self, name: &str) -> Option<&ProfileClass> {
        self.classes.get(name)
    }

    /// All classes, by name.
    pub fn classes(&self) -> impl Iterator<Item = &ProfileClass> {
        self.classes.values()
    }

    /// A class and its superclasses, the topmost first.
    pub fn line<'a>(&'a self, class: &'a ProfileClass) -> Vec<&'a ProfileClass> {
        let supers = std::iter::successors(Some(class), |class| {
            self.class(class.super_class.as_deref()?)
        });
        let mut line: Vec<_> = supers.take(Self::MAX_SUPERS + 1).collect();
        line.reverse();
        line
    }

    fn close(&mut self, class: Option<ProfileClass>) -> Result<(), &'static str> {
        let Some(class) = class else { return Ok(()) };
        match self.classes.insert(class.name.clone(), class) {
            None => Ok(()),
            Some(_) => Err("the class before is there twice"),
        }
    }

    fn check_supers(&self) -> Result<(), &'static str> {
        for class in self.classes.values() {
            let line = self.line(class);
            if line.len() > Self::MAX_SUPERS {
                return Err("a class has too many superclasses, or is its own");
            }
            if line[0].super_class.is_some() {
                return Err("the superclass of a class is missing");
            }
        }
        Ok(())
    }
}

impl ProfileClass {
    fn add(&mut self, field: ProfileField) -> Result<(), &'static str> {
        let after_reference = self
            .fields
            .last()
            .is_some_and(|last| last.type_name.is_some());
        if after_reference && field.type_name.is_none() {
            return Err("a primitive field behind a reference");
        }
        self.fields.push(field);
        Ok(())
    }
}

fn class(words: &[&str]) -> Result<ProfileClass, &'static str> {
    let (name, suid, flags, super_class) = match *words {
        [_, name, suid, flags] => (name, suid, flags, None),
        [_, name, suid, flags, super_class] => (name, suid, flags, Some(super_class)),
        _ => return Err("a class has a name, a serialVersionUID, flags and perhaps a superclass"),
    };
    let suid = u64::from_str_radix(suid, 16).map_err(|_| "a serialVersionUID is a hex number")?;
    let flags = u8::from_str_radix(flags, 16).map_err(|_| "flags are a hex number")?;
    Flags(flags).check()?;
    Ok(ProfileClass {
        name: name.into(),
        suid: suid as i64,
        flags: Flags(flags),
        fields: Vec::new(),
        super_class: super_class.map(str::to_owned),
    })
}

fn field(words: &[&str]) -> Result<ProfileField, &'static str> {
    let (kind, name, type_name) = match *words {
        [kind, name] => (kind, name, None),
        [kind, name, type_name] => (kind, name, Some(type_name)),
        _ => return Err("a field has a type code, a name and perhaps a type"),
    };
    let kind = match *kind.as_bytes() {
        [code] => FieldKind::of_code(code),
        _ => None,
    };
    let kind = kind.ok_or("a type code is one of BCDFIJSZL[")?;
    if kind.width().is_none() != type_name.is_some() {
        return Err("a reference has a type, a primitive field none");
    }
    Ok(ProfileField {
        kind,
        name: name.into(),
        type_name: type_name.map(str::to_owned),
    })
}
