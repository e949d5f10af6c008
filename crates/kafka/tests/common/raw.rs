//! A record that no client library would send, written to the broker by hand.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use std::io::{Read, Write};
use std::net::TcpStream;

use tenantry_ports::Place;

/// Produces a record with one header, whose name may be any bytes, and a value.
pub(crate) fn produce(address: &str, place: &Place, header: &[u8], value: &[u8]) {
    // Attributes, time, offset, no key; then value and headers, each with its length.
    let mut record = vec![0, 0, 0, 1];
    for part in [value, header, b"h"] {
        record.push(zigzag(part.len()));
        record.extend_from_slice(part);
        if part == value {
            record.push(zigzag(1));
        }
    }
    let mut checked = Vec::new();
    checked.extend_from_slice(&[0; 2 + 4]);
    checked.extend_from_slice(&[0; 8 + 8]);
    checked.extend_from_slice(&[0xff; 8 + 2 + 4]);
    checked.extend_from_slice(&1_i32.to_be_bytes());
    checked.push(zigzag(record.len()));
    checked.extend_from_slice(&record);
    let mut batch = vec![0; 8];
    batch.extend_from_slice(&i32::try_from(9 + checked.len()).unwrap().to_be_bytes());
    batch.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 2]);
    batch.extend_from_slice(&crc32c::crc32c(&checked).to_be_bytes());
    batch.extend_from_slice(&checked);

    let (name, one) = (place.topic.name(), 1_i32.to_be_bytes());
    // Produce, version 3: correlation, no client id, no transaction, all replicas, ten seconds.
    let mut request = vec![0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    request.extend_from_slice(&10_000_i32.to_be_bytes());
    request.extend_from_slice(&one);
    request.extend_from_slice(&i16::try_from(name.len()).unwrap().to_be_bytes());
    request.extend_from_slice(name.as_bytes());
    request.extend_from_slice(&one);
    request.extend_from_slice(&i32::from(place.partition).to_be_bytes());
    request.extend_from_slice(&i32::try_from(batch.len()).unwrap().to_be_bytes());
    request.extend_from_slice(&batch);

    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).unwrap();
    stream.write_all(&request).unwrap();
    let mut size = [0; 4];
    stream.read_exact(&mut size).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(size)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    // Correlation, one topic with its name, one partition with its number, and the error.
    let error = 4 + 4 + 2 + name.len() + 4 + 4;
    assert_eq!(answer[error..error + 2], [0, 0], "the broker refused the record");
}

/// A small length as Kafka's records have it.
fn zigzag(length: usize) -> u8 {
    assert!(length < 64);
    u8::try_from(length * 2).unwrap()
}
