//! Java's streams and Spark's RPCs: what is accepted is written again as the same tree, and as a message it
//! can be written for every version; nothing takes more memory than its limit allows.

use ringrail_codec::java::{Limits, Profile, Tree};
use ringrail_codec::spark::rpc::{Message, RequestHead, Version};

/// Reads `data` as a stream, as a request and as a profile.
pub(crate) fn check(data: &[u8]) {
    check_stream(data);
    match RequestHead::decode(data) {
        Ok((head, stream)) => {
            let mut again = Vec::new();
            head.append_to(&mut again).expect("just read");
            let (read, rest) = RequestHead::decode(&again).expect("just written");
            assert_eq!((read, rest), (head, &[][..]));
            check_stream(stream);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(profile) = Profile::parse(text)
    {
        for class in profile.classes() {
            assert!(!profile.line(class).is_empty());
        }
    }
}

fn check_stream(data: &[u8]) {
    let tree = match Tree::read(data, &Limits::DEFAULT) {
        Ok(tree) => tree,
        Err(error) => {
            assert!(error.at <= data.len() && !error.to_string().is_empty());
            return;
        }
    };
    let mut stream = Vec::new();
    // The length of a text or block may have been written with more bytes than it needs, never with fewer.
    tree.write(&Limits::DEFAULT, &mut stream)
        .expect("just read");
    assert!(stream.len() <= data.len());
    let again = Tree::read(&stream, &Limits::DEFAULT).expect("just written");
    assert_eq!(again.len(), tree.len());
    let mut third = Vec::new();
    again
        .write(&Limits::DEFAULT, &mut third)
        .expect("just read");
    assert_eq!(third, stream);
    check_message(data);
}

fn check_message(data: &[u8]) {
    let message = match Message::decode(data, &Limits::DEFAULT) {
        Ok(message) => message,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    for version in Version::ALL {
        let mut stream = Vec::new();
        match message.encode(version.profile(), &Limits::DEFAULT, &mut stream) {
            Ok(()) => {
                Message::decode(&stream, &Limits::DEFAULT).expect("just written");
            }
            Err(error) => assert!(stream.is_empty() && !error.to_string().is_empty()),
        }
    }
}
