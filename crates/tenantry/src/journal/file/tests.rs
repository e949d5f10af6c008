use bytes::Bytes;
use tenantry_contracts::TenantId;

use super::*;

fn row(n: i64) -> Row {
    Row {
        lane: Lane(3),
        n,
        tenant: (n % 2 == 0).then(|| TenantId::new(Time(n), [9; 10])),
        seq: n,
        prev_n: n - 1,
        at: Time(n),
        entry: Bytes::from(format!(r#"{{"n":{n},"text":"{}"}}"#, "acme ".repeat(20))),
        facts: Bytes::from(n.to_be_bytes().to_vec()),
    }
}

fn range(from: i64, to: i64, rows: usize) -> Range {
    let rows = i64::try_from(rows).unwrap();
    Range { lane: Lane(3), from, to, rows, oldest: Time(0), newest: Time(9) }
}

/// A file of these rows that says it has this range.
fn written(range: &Range, rows: &[Row]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name(range));
    let mut writer = Writer::create(&path, &Header::of(range, "local", Time(7))).unwrap();
    rows.iter().for_each(|row| writer.row(row).unwrap());
    writer.finish().unwrap();
    (folder, path)
}

fn read(path: &Path) -> Result<Vec<Row>, Refused> {
    let (mut reader, mut all) = (Reader::open(path)?, Vec::new());
    while let Some(frame) = reader.frame()? {
        assert_eq!(frame_at(path, frame.offset)?, frame.rows);
        all.extend(frame.rows);
    }
    Ok(all)
}

fn code(path: &Path) -> String {
    read(path).map_or_else(|refused| refused.code.into_owned(), |rows| format!("{} rows", rows.len()))
}

/// Two frames and a half, with numbers that jump.
fn rows() -> Vec<Row> {
    (1..=2500).map(|n| row(if n > 1700 { n + (1 << 32) } else { n })).collect()
}

#[test]
fn rows_come_back_from_frames_that_each_read_by_themselves() {
    let rows = rows();
    let range = range(1, rows[rows.len() - 1].n, rows.len());
    let (_folder, path) = written(&range, &rows);
    assert_eq!(path.file_name().unwrap().to_str(), Some("journal-3-1-4294969796.ndjson.zst"));
    assert_eq!(read(&path).unwrap(), rows);
    let header = Reader::open(&path).unwrap().header().clone();
    assert_eq!((header.fleet.as_str(), header.written), ("local", Time(7)));
    let (sha256, length) = digest(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!((sha256, length), (Sha256::digest(&bytes).into(), bytes.len() as u64));
}

#[test]
fn any_tool_reads_it_as_one_text_of_json_lines() {
    let (_folder, path) = written(&range(1, 1200, 1200), &(1..=1200).map(row).collect::<Vec<_>>());
    let text = zstd::decode_all(File::open(&path).unwrap()).unwrap();
    let lines: Vec<serde_json::Value> =
        String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1201);
    assert_eq!((&lines[0]["format"], &lines[0]["rows"]), (&"tenantry-journal/1".into(), &1200.into()));
    assert_eq!(lines[0]["written"], "1970-01-01T00:00:00.007Z");
    assert_eq!((&lines[1200]["n"], &lines[1200]["lane"]), (&1200.into(), &3.into()));
}

#[test]
fn a_damaged_byte_is_found_wherever_it_is() {
    let rows = rows();
    let (_folder, path) = written(&range(1, rows[rows.len() - 1].n, rows.len()), &rows);
    let whole = std::fs::read(&path).unwrap();
    let (sha256, _) = digest(&path).unwrap();
    let mut refused = 0;
    for at in (0..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(super::super::read::recorded(&path, &sha256).unwrap_err().code, "archive_altered");
        match read(&path) {
            Ok(read) => assert_eq!(read, rows, "byte {at}: a bit that means nothing"),
            Err(error) => refused += usize::from(error.code.starts_with("archive_")),
        }
    }
    assert!(refused * 10 > whole.len() / 97 * 9, "{refused}");
}

#[test]
fn a_cut_tail_is_found_within_a_frame_and_between_two() {
    let rows = rows();
    let (_folder, path) = written(&range(1, rows[rows.len() - 1].n, rows.len()), &rows);
    let whole = std::fs::read(&path).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    let mut cuts = vec![0, 1, whole.len() / 2, whole.len() - 1];
    while let Some(frame) = reader.frame().unwrap() {
        cuts.push(usize::try_from(frame.offset).unwrap());
    }
    assert_eq!(cuts.len(), 4 + 3);
    for cut in cuts {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(code(&path), "archive_cut", "at {cut}");
    }
}

#[test]
fn rows_that_are_missing_doubled_or_in_another_order_are_found() {
    let all: Vec<Row> = (1..=9).map(row).collect();
    let found = |from, to, change: &dyn Fn(&mut Vec<Row>)| {
        let mut rows = all.clone();
        change(&mut rows);
        let (_folder, path) = written(&range(from, to, 9), &rows);
        code(&path)
    };
    assert_eq!(found(1, 9, &|_| {}), "9 rows");
    assert_eq!(found(1, 9, &|rows| rows.swap(3, 4)), "archive_disordered");
    assert_eq!(found(1, 9, &|rows| rows[4] = row(4)), "archive_disordered");
    assert_eq!(found(1, 9, &|rows| rows[4].lane = Lane(1)), "archive_disordered");
    assert_eq!(found(2, 9, &|_| {}), "archive_disordered");
    assert_eq!(found(1, 8, &|_| {}), "archive_disordered");
    assert_eq!(found(1, 9, &|rows| drop(rows.remove(4))), "archive_cut");
    assert_eq!(found(1, 9, &|rows| drop(rows.pop())), "archive_cut");
}

#[test]
fn what_is_no_archive_is_refused_by_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.ndjson.zst");
    assert_eq!(code(&path), "archive_missing");
    let write =
        |text: &str| std::fs::write(&path, zstd::bulk::compress(text.as_bytes(), 1).unwrap()).unwrap();
    write("{\"format\":\"tenantry-journal/2\",\"lane\":1}\n");
    assert_eq!(code(&path), "archive_format");
    write("{\"format\":\"tenantry-journal/1\",\"lane\":1}\n");
    assert_eq!(code(&path), "archive_format");
    write("hello");
    assert_eq!(code(&path), "archive_format");
    std::fs::write(&path, "hello").unwrap();
    assert_eq!(code(&path), "archive_damaged");
}
