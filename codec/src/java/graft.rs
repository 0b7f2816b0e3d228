//! Copies parts of one tree into another, without recursion.

use super::{Node, NodeId, Text, Tree, Value};

impl Tree {
    /// Copies a value of another tree, with everything that it refers to, into this one. What is one node
    /// there is one node here.
    ///
    /// # Panics
    /// If `value` is not of `from`.
    pub fn graft(&mut self, from: &Tree, value: Value) -> Value {
        let root = value?;
        let mut copies = Copies {
            of: vec![None; from.len()],
            queue: Vec::new(),
        };
        let copy = copies.copy_of(self, root);
        while let Some((original, copy)) = copies.queue.pop() {
            let mut node = from.node(original).clone();
            Tree::references(&mut node, &mut |id| *id = copies.copy_of(self, *id));
            *self.node_mut(copy) = node;
        }
        Some(copy)
    }
}

/// The nodes that have been copied, and those that are still empty.
struct Copies {
    /// The copy of each node of the original.
    of: Vec<Value>,
    queue: Vec<(NodeId, NodeId)>,
}

impl Copies {
    fn copy_of(&mut self, tree: &mut Tree, original: NodeId) -> NodeId {
        if let Some(copy) = self.of[original.index()] {
            return copy;
        }
        let copy = tree.add(Node::Text(Text::from("")));
        self.of[original.index()] = Some(copy);
        self.queue.push((original, copy));
        copy
    }
}
