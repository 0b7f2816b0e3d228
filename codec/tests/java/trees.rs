//! Trees made from a seed, of classes that every Java has and of `ringrail.Streams$Knot`.
//!
//! Java reads such a tree and writes it again with the same bytes: each class, each enum constant and each
//! `Class` is one node, as it is one object in Java.

use ringrail_codec::java::*;

/// A tree whose root holds up to `size` objects, which refer to each other in any way.
pub(crate) fn tree(seed: u64, size: usize) -> Tree {
    let mut maker = Maker::new(seed);
    for _ in 0..size {
        let made = maker.value();
        maker.made.push(made);
    }
    maker.tie();
    let root = maker.objects("[Ljava.lang.Object;", maker.made.clone());
    maker.tree.push(Item::Content(Content::Value(Some(root))));
    maker.tree
}

struct Maker {
    tree: Tree,
    state: u64,
    made: Vec<Value>,
    knots: Vec<NodeId>,
    classes: Vec<(&'static str, NodeId)>,
    object_type: NodeId,
    string_type: NodeId,
    constants: Vec<NodeId>,
    class_objects: Vec<NodeId>,
}

/// The serialVersionUIDs and flags of Java's own classes, and their superclasses.
const CLASSES: [(&str, u64, u8, &str); 9] = [
    ("ringrail.Streams$Knot", 1, 0x02, ""),
    ("java.lang.Number", 0x86ac_951d_0b94_e08b, 0x02, ""),
    (
        "java.lang.Integer",
        0x12e2_a0a4_f781_8738,
        0x02,
        "java.lang.Number",
    ),
    ("java.util.ArrayList", 0x7881_d21d_99c7_619d, 0x03, ""),
    ("java.lang.Enum", 0, 0x12, ""),
    ("java.util.concurrent.TimeUnit", 0, 0x12, "java.lang.Enum"),
    ("[Ljava.lang.Object;", 0x90ce_589f_1073_296c, 0x02, ""),
    ("[I", 0x4dba_6026_76ea_b2a5, 0x02, ""),
    ("[B", 0xacf3_17f8_0608_54e0, 0x02, ""),
];

const UNITS: [&str; 3] = ["SECONDS", "HOURS", "DAYS"];

impl Maker {
    fn new(seed: u64) -> Self {
        let mut tree = Tree::new();
        let object_type = tree.add_text("Ljava/lang/Object;");
        let string_type = tree.add_text("Ljava/lang/String;");
        let mut maker = Self {
            tree,
            state: seed,
            made: vec![None],
            knots: Vec::new(),
            classes: Vec::new(),
            object_type,
            string_type,
            constants: Vec::new(),
            class_objects: Vec::new(),
        };
        for unit in UNITS {
            let class = maker.class("java.util.concurrent.TimeUnit");
            let name = maker.tree.add_text(unit);
            let constant = maker.tree.add(Node::Enum { class, name });
            maker.constants.push(constant);
        }
        for name in ["[I", "ringrail.Streams$Knot"] {
            let class = maker.class(name);
            let object = maker.tree.add(Node::ClassObject { class });
            maker.class_objects.push(object);
        }
        maker
    }

    /// A number below `end` (the generator of Steele and Vigna, "splitmix").
    fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end as u64) as usize
    }

    fn any(&mut self) -> Value {
        let at = self.below(self.made.len());
        self.made[at]
    }

    fn class(&mut self, name: &'static str) -> NodeId {
        if let Some((_, id)) = self.classes.iter().find(|(known, _)| *known == name) {
            return *id;
        }
        let described = CLASSES.iter().find(|(known, ..)| *known == name);
        let (_, suid, flags, above) = *described.expect("described");
        let super_class = (!above.is_empty()).then(|| self.class(above));
        let fields = self.fields(name);
        let id = self.tree.add(Node::Class(Box::new(Class {
            name: name.into(),
            suid: suid as i64,
            flags: Flags(flags),
            fields,
            annotation: Vec::new(),
            super_class,
        })));
        self.classes.push((name, id));
        id
    }

    fn fields(&self, class: &str) -> Vec<Field> {
        let names = match class {
            "ringrail.Streams$Knot" => "Bb Cc Dd Ff Ii Jj Ss Zz Lleft Lright Ltext",
            "java.lang.Integer" => "Ivalue",
            "java.util.ArrayList" => "Isize",
            _ => "",
        };
        let field = |name: &str| {
            let (code, name) = name.split_at(1);
            let kind = FieldKind::of_code(code.as_bytes()[0]).expect("a code");
            let of = if name == "text" {
                self.string_type
            } else {
                self.object_type
            };
            Field {
                kind,
                name: name.into(),
                type_name: kind.width().is_none().then_some(of),
            }
        };
        names.split_whitespace().map(field).collect()
    }

    fn value(&mut self) -> Value {
        Some(match self.below(9) {
            0 => self.text(),
            1 => self.integer(),
            2 => self.knot(),
            3 => {
                let at = self.below(UNITS.len());
                self.constants[at]
            }
            4 => {
                let at = self.below(2);
                self.class_objects[at]
            }
            5 => self.list(),
            6 => {
                let len = self.below(4);
                let elements = (0..len).map(|_| self.any()).collect();
                self.objects("[Ljava.lang.Object;", elements)
            }
            7 => self.numbers("[I", 4),
            _ => self.numbers("[B", 1),
        })
    }

    fn text(&mut self) -> NodeId {
        let texts = ["a", "\0", "ä€", "😀", "a longer text with blanks"];
        let text = texts[self.below(texts.len())];
        let times = 1 + self.below(3);
        self.tree.add_text(&text.repeat(times))
    }

    fn object(&mut self, class: &'static str, levels: Vec<Level>) -> NodeId {
        let class = self.class(class);
        self.tree.add(Node::Object(Object { class, levels }))
    }

    fn integer(&mut self) -> NodeId {
        let value = self.below(1 << 32) as u32 as i32;
        let own = Level {
            fields: vec![FieldValue::Int(value)],
            annotation: Vec::new(),
        };
        self.object("java.lang.Integer", vec![Level::default(), own])
    }

    fn list(&mut self) -> NodeId {
        let len = self.below(4) as i32;
        let mut annotation = vec![Content::Block(len.to_be_bytes().into())];
        for _ in 0..len {
            annotation.push(Content::Value(self.any()));
        }
        let fields = vec![FieldValue::Int(len)];
        self.object("java.util.ArrayList", vec![Level { fields, annotation }])
    }

    fn objects(&mut self, class: &'static str, elements: Vec<Value>) -> NodeId {
        let class = self.class(class);
        let elements = Elements::References(elements);
        self.tree.add(Node::Array(Array { class, elements }))
    }

    fn numbers(&mut self, class: &'static str, width: usize) -> NodeId {
        let len = self.below(5) * width;
        let bytes = (0..len).map(|_| self.below(256) as u8).collect();
        let class = self.class(class);
        let elements = Elements::Primitive(bytes);
        self.tree.add(Node::Array(Array { class, elements }))
    }

    fn knot(&mut self) -> NodeId {
        let bits = self.below(usize::MAX);
        let text = match self.below(2) {
            0 => None,
            _ => Some(self.text()),
        };
        let fields = vec![
            FieldValue::Byte(bits as i8),
            FieldValue::Char(bits as u16),
            FieldValue::Double(bits as f64),
            FieldValue::Float(bits as f32),
            FieldValue::Int(bits as i32),
            FieldValue::Long(bits as i64),
            FieldValue::Short(bits as i16),
            FieldValue::Boolean(bits % 2 == 1),
            FieldValue::Reference(None),
            FieldValue::Reference(None),
            FieldValue::Reference(text),
        ];
        let annotation = Vec::new();
        let knot = self.object("ringrail.Streams$Knot", vec![Level { fields, annotation }]);
        self.knots.push(knot);
        knot
    }

    /// Lets the knots refer to anything, themselves included.
    fn tie(&mut self) {
        for knot in self.knots.clone() {
            let sides = [self.any(), self.any()].map(FieldValue::Reference);
            let Node::Object(object) = self.tree.node_mut(knot) else {
                continue;
            };
            object.levels[0].fields[8..10].copy_from_slice(&sides);
        }
    }
}
