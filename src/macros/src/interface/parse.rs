//! Reads a trait, and refuses what cannot travel.

use std::collections::HashSet;

use syn::{Error, ItemTrait, Result, TraitItem};

use super::Interface;
use super::method::Method;
use crate::attrs::{Args, MAX_NAME_LEN, error};

/// All that is wrong is told at once.
pub(super) fn interface(args: &Args, item: &ItemTrait) -> Result<Interface> {
    let mut wrong = Wrong(None);
    wrong.note(check_trait(item));
    let mut methods = Vec::new();
    for it in &item.items {
        match it {
            TraitItem::Fn(method) => {
                if let Some(method) = wrong.note(Method::parse(args, item, method)) {
                    methods.push(method);
                }
            }
            other => {
                wrong.note::<()>(error(
                    other,
                    "an interface has methods alone: each is a message",
                ));
            }
        }
    }
    wrong.note(check_names(&methods));
    match wrong.0 {
        Some(error) => Err(error),
        None => Ok(Interface {
            krate: args.krate(),
            vis: item.vis.clone(),
            ident: item.ident.clone(),
            methods,
        }),
    }
}

struct Wrong(Option<Error>);

impl Wrong {
    fn note<T>(&mut self, outcome: Result<T>) -> Option<T> {
        match (outcome, &mut self.0) {
            (Ok(value), _) => return Some(value),
            (Err(error), Some(first)) => first.combine(error),
            (Err(error), none) => *none = Some(error),
        }
        None
    }
}

fn check_trait(item: &ItemTrait) -> Result<()> {
    if let Some(parameter) = item.generics.params.first() {
        let text =
            "an interface cannot be generic: the name of a message stands for one type on the wire";
        return error(parameter, text);
    }
    if let Some(keyword) = &item.unsafety {
        return error(
            keyword,
            "an interface cannot be unsafe: whoever asks is in another process",
        );
    }
    if item.items.is_empty() {
        return error(&item.ident, "an interface has methods: each is a message");
    }
    Ok(())
}

fn check_names(methods: &[Method]) -> Result<()> {
    let (mut names, mut types) = (HashSet::new(), HashSet::new());
    for method in methods {
        if method.name.len() > MAX_NAME_LEN {
            let text = format!("a message's name has at most {MAX_NAME_LEN} bytes");
            return Err(Error::new(method.name_span, text));
        }
        if !names.insert(&method.name) {
            let text = format!(
                "two messages of this interface are called {:?} on the wire",
                method.name
            );
            return Err(Error::new(method.name_span, text));
        }
        if !types.insert(&method.message) {
            let text = format!(
                "the messages of two methods would both be of type {}",
                method.message
            );
            return Err(Error::new(method.ident.span(), text));
        }
    }
    Ok(())
}
