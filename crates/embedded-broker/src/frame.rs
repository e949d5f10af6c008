//! Requests on the wire: a length, then that many bytes. A length is not believed: memory grows with what really came.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Room made at least, per read. Bytes.
const READ: usize = 16 << 10;

/// Reads the next frame; `None` at the end of the stream between two frames.
///
/// # Errors
/// `InvalidData` where the length is negative or over `max`, `UnexpectedEof` within a frame, and what the reader says.
pub(crate) async fn read<R: AsyncRead + Unpin>(
    reader: &mut R,
    buffer: &mut BytesMut,
    max: usize,
) -> io::Result<Option<Bytes>> {
    loop {
        let mut missing = READ;
        if let Some(length) = buffer.first_chunk() {
            let length = i32::from_be_bytes(*length);
            let length = usize::try_from(length).ok().filter(|length| *length <= max).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("a request of {length} bytes, {max} are allowed"),
                )
            })?;
            if buffer.len() >= 4 + length {
                buffer.advance(4);
                return Ok(Some(buffer.split_to(length).freeze()));
            }
            missing = 4 + length - buffer.len();
        }
        // At most twice what came is allocated.
        buffer.reserve(missing.min(buffer.len().max(READ)));
        if reader.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(bytes: &[u8], max: usize) -> (Vec<Bytes>, io::Result<()>, usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (mut reader, mut buffer, mut frames) = (bytes, BytesMut::new(), Vec::new());
            let mut largest = 0;
            let end = loop {
                let frame = read(&mut reader, &mut buffer, max).await;
                largest = largest.max(buffer.capacity());
                match frame {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            (frames, end, largest)
        })
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..20)) {
            let bytes: Vec<u8> = frames.iter().flat_map(|f| [&(f.len() as i32).to_be_bytes()[..], f].concat()).collect();
            let (read, end, _) = read_all(&bytes, 1000);
            prop_assert!(end.is_ok());
            prop_assert_eq!(read, frames);
        }

        #[test]
        fn any_bytes_end_in_frames_or_an_error_and_little_memory(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let (frames, _, largest) = read_all(&bytes, usize::MAX);
            prop_assert!(frames.iter().map(|frame| frame.len() + 4).sum::<usize>() <= bytes.len());
            prop_assert!(largest <= 4 * READ);
        }
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_bytes_come() {
        let (_, end, largest) = read_all(&[0x7f, 0xff, 0xff, 0xff, 1, 2, 3], 100 << 20);
        assert_eq!(end.expect_err("is refused").kind(), io::ErrorKind::InvalidData);
        assert!(largest <= 2 * READ);
    }
}
