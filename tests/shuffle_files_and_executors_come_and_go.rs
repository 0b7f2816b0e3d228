//! Files that are replaced or deleted while they are served, executors that are gone, stores that change hands.

#[path = "support/spark_shuffle.rs"]
mod spark_shuffle;

use std::fs;
use std::time::{Duration, Instant};

use ringrail::shuffle::{ShuffleConf, ShuffleService};
use spark_shuffle::{APP, Disk, EXEC, Peer, bytes};

/// Files of the service's directories that this process has open although they are deleted.
fn deleted_and_open(disk: &Disk) -> usize {
    let root = disk.root.path().to_str().unwrap().to_owned();
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = descriptors.filter_map(|it| fs::read_link(it.path()).ok());
    let names = targets.map(|it| it.to_string_lossy().into_owned());
    names
        .filter(|name| name.starts_with(&root) && name.ends_with("(deleted)"))
        .count()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_that_was_written_anew_is_served_anew() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let old = disk.write_map(0, 1, &[50, 60, 70]);
    let handle = peer.fetch(0, &[1], &[&[0, 1, 2]], false).unwrap();
    assert_eq!(peer.chunk(handle.stream_id, 0).unwrap(), old[0]);
    // As Spark commits: other files are renamed over them.
    let (index, data) = (
        disk.path("shuffle_0_1_0.index"),
        disk.path("shuffle_0_1_0.data"),
    );
    let lens = [10i64, 2000, 30];
    let mut offsets = vec![0i64];
    lens.iter()
        .for_each(|len| offsets.push(offsets[offsets.len() - 1] + len));
    let index_bytes: Vec<u8> = offsets.iter().flat_map(|it| it.to_be_bytes()).collect();
    let new = bytes(99, 2040);
    fs::write(index.with_extension("tmp"), index_bytes).unwrap();
    fs::write(data.with_extension("tmp"), &new).unwrap();
    fs::rename(index.with_extension("tmp"), &index).unwrap();
    fs::rename(data.with_extension("tmp"), &data).unwrap();
    assert_eq!(peer.chunk(handle.stream_id, 1).unwrap(), new[10..2010]);
    assert_eq!(peer.chunk(handle.stream_id, 2).unwrap(), new[2010..]);
}

/// The reader asks for the next chunk before the last one has left, so that the file stays open all the while.
#[test]
fn a_file_that_stays_open_is_looked_at_again_after_a_while() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    let lens = [300_000; 40];
    let old = disk.write_map(0, 1, &lens);
    let reduces: Vec<i32> = (0..40).collect();
    let handle = peer.fetch(0, &[1], &[&reduces], false).unwrap();
    let ask = |index| {
        let options = Default::default();
        peer.client
            .fetch_chunk(handle.stream_id as u64, index, &options)
    };
    let since = Instant::now();
    let mut waiting = std::collections::VecDeque::from([ask(0), ask(1)]);
    let (mut next, mut deleted, mut failed) = (2, false, false);
    for (index, old) in old.iter().enumerate() {
        match waiting.pop_front().unwrap().wait() {
            Ok(chunk) => assert_eq!(chunk.to_vec(), *old, "{index}"),
            Err(_) => failed = true,
        }
        if next < 40 {
            waiting.push_back(ask(next));
            next += 1;
        }
        if index == 5 {
            fs::remove_file(disk.path("shuffle_0_1_0.data")).unwrap();
            deleted = true;
        }
        if deleted {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    assert!(failed, "in {:?} nobody has looked", since.elapsed());
}

#[test]
fn deleted_files_are_neither_served_nor_kept_open() {
    let disk = Disk::new();
    let peer = Peer::registered(&disk);
    disk.write_map(0, 1, &[500_000, 500_000]);
    disk.write("rdd_1_1", &bytes(1, 500_000));
    let shuffle = peer.fetch(0, &[1], &[&[0, 1]], false).unwrap();
    let rdd = peer.open(&["rdd_1_1", "rdd_1_1"]).unwrap();
    for handle in [shuffle, rdd] {
        assert_eq!(peer.chunk(handle.stream_id, 0).unwrap().len(), 500_000);
    }
    fs::remove_file(disk.path("shuffle_0_1_0.data")).unwrap();
    fs::remove_file(disk.path("rdd_1_1")).unwrap();
    // Both streams still have a chunk to come, on a connection that stays.
    eventually("the files are closed", || deleted_and_open(&disk) == 0);
    for handle in [shuffle, rdd] {
        let error = peer.chunk(handle.stream_id, 1).unwrap_err();
        assert!(error.contains("Failed to open file"), "{error}");
    }
}

#[test]
fn executors_without_directories_are_forgotten_and_make_room() {
    let disk = Disk::new();
    let mut conf = with_store(&disk);
    conf.max_executors = 2;
    let peer = Peer::new(conf.clone());
    let dir = |name: &str| {
        let dir = disk.root.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        dir.to_str().unwrap().to_owned()
    };
    peer.register(APP, "1", &[dir("one"), dir("two")]).unwrap();
    peer.register(APP, "2", &[dir("three")]).unwrap();
    let full = peer.register(APP, "3", &[dir("four")]).unwrap_err();
    assert!(
        full.contains("as many executors are registered as may be"),
        "{full}"
    );
    fs::remove_dir(disk.root.path().join("one")).unwrap();
    assert_eq!(
        peer.service.forget_gone_executors().unwrap(),
        0,
        "one of two is there"
    );
    fs::remove_dir(disk.root.path().join("two")).unwrap();
    peer.register(APP, "3", &[dir("four")]).unwrap();
    assert_eq!(peer.service.executors(), 2);
    fs::remove_dir(disk.root.path().join("three")).unwrap();
    let service = peer.service.clone();
    service.hand_over();
    let next = ShuffleService::start(conf).unwrap();
    assert_eq!(
        next.executors(),
        1,
        "what was forgotten, or is gone, is not loaded"
    );
}

fn with_store(disk: &Disk) -> ShuffleConf {
    let mut conf = disk.conf();
    conf.store = Some(disk.root.path().join("executors.redb"));
    conf
}

#[test]
fn a_store_has_one_owner_and_goes_to_the_one_who_waits() {
    let disk = Disk::new();
    let map = disk.write_map(0, 1, &[10]);
    let conf = with_store(&disk);
    let peer = Peer::new(conf.clone());
    peer.register(APP, EXEC, &disk.dir_names()).unwrap();
    let refused = ShuffleService::start(conf.clone()).unwrap_err().to_string();
    assert!(refused.contains("executors.redb"), "{refused}");
    let waiting = ShuffleConf {
        store_wait: Duration::from_secs(60),
        ..conf
    };
    let next = std::thread::spawn(move || ShuffleService::start(waiting).unwrap());
    peer.service.hand_over();
    let next = Peer::of(next.join().unwrap());
    assert_eq!(next.service.executors(), 1);
    let told = peer.register(APP, "9", &disk.dir_names()).unwrap_err();
    assert!(told.contains("connect again"), "{told}");
    for peer in [&peer, &next] {
        let handle = peer.fetch(0, &[1], &[&[0]], false).unwrap();
        assert_eq!(peer.chunks(handle), [Ok(map[0].clone())]);
    }
    next.register(APP, "9", &disk.dir_names()).unwrap();
}

#[test]
fn a_damaged_store_is_put_aside() {
    let disk = Disk::new();
    let conf = with_store(&disk);
    let path = conf.store.clone().unwrap();
    fs::write(&path, bytes(5, 9000)).unwrap();
    let service = ShuffleService::start(conf).unwrap();
    assert_eq!(service.executors(), 0);
    let aside = path.with_extension("redb.damaged");
    assert_eq!(fs::read(aside).unwrap(), bytes(5, 9000));
}
