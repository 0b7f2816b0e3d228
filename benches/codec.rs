//! Cost of the wire protocol per frame, without sockets: headers, frames, checksums, archives.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ringrail_codec::archive::{access, encode_into};
use ringrail_codec::native::{Header, Limits, RpcRequest, Step, decode_frame};

/// A receive buffer: frames in it begin on boundaries of 16 bytes.
#[repr(align(16))]
struct Aligned([u8; 64 << 10]);

impl Aligned {
    fn new() -> Box<Self> {
        Box::new(Self([0; 64 << 10]))
    }
}

fn request(body_len: u32) -> Header {
    RpcRequest {
        id: 7,
        total_len: u64::from(body_len),
        deadline_us: 1_000_000,
    }
    .header(body_len)
}

fn headers(criterion: &mut Criterion) {
    let bytes = request(64).encode();
    criterion.bench_function("header/decode", |bencher| {
        bencher.iter(|| Header::decode(black_box(&bytes)));
    });
    let header = request(64);
    criterion.bench_function("header/encode", |bencher| {
        bencher.iter(|| black_box(&header).encode());
    });
}

/// Walks through a receive buffer full of requests, as a shard does.
fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frames");
    for body_len in [64u32, 1024] {
        let mut buffer = Aligned::new();
        let header = request(body_len);
        let count = buffer.0.len() / header.frame_len();
        for at in 0..count {
            let from = at * header.frame_len();
            buffer.0[from..from + 32].copy_from_slice(&header.encode());
        }
        let len = count * header.frame_len();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("decode/{body_len}"), |bencher| {
            bencher.iter(|| walk(black_box(&buffer.0[..len])));
        });
    }
    group.finish();
}

fn walk(mut bytes: &[u8]) -> u64 {
    let mut sum = 0;
    while let Ok(Step::Frame {
        header, consumed, ..
    }) = decode_frame(bytes, &Limits::DEFAULT)
    {
        sum += header.id;
        bytes = &bytes[consumed..];
    }
    sum
}

fn checksums(criterion: &mut Criterion) {
    let body = vec![7; 256 << 10];
    let header = request(body.len() as u32);
    let mut group = criterion.benchmark_group("checksum");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("crc32c/256KiB", |bencher| {
        bencher.iter(|| header.with_crc_of(black_box(&body)));
    });
    group.finish();
}

type Message = (String, u64, Vec<u64>);

fn archives(criterion: &mut Criterion) {
    let message: Message = (String::from("counter.Add"), 7, (0..8).collect());
    let mut buffer = Aligned::new();
    let Ok(len) = encode_into(&message, &mut buffer.0) else {
        return;
    };
    criterion.bench_function("archive/access", |bencher| {
        bencher.iter(|| {
            let view = access::<Message>(black_box(&buffer.0[..len]));
            view.map(|view| view.1.to_native()).ok()
        });
    });
    let mut out = Aligned::new();
    criterion.bench_function("archive/encode", |bencher| {
        bencher.iter(|| encode_into(black_box(&message), &mut out.0).is_ok());
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    headers(&mut criterion);
    frames(&mut criterion);
    checksums(&mut criterion);
    archives(&mut criterion);
    criterion.final_summary();
}
