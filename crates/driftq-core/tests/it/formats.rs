//! Records as bytes: what was written once is read for ever.

use driftq_core::*;
use proptest::prelude::*;

/// Bytes of one record of the first release. A change of these is a new format.
#[test]
fn p21_records_keep_their_bytes() {
    let record = Record::Acked(Acked {
        of: MessageOf { group: GroupId(3), partition: PartitionId(1), offset: Offset(300) },
        owner: OwnerId::parse("ann").expect("an owner"),
        lease: LeaseId { epoch: 2, serial: 9 },
        at: Instant(1_000),
        bytes: 17,
        key: None,
        forget_acks: 0,
        forget_keys: 0,
    });
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    assert_eq!(bytes, [10, 3, 1, 172, 2, 3, 97, 110, 110, 2, 9, 232, 7, 17, 0, 0, 0]);
    assert_eq!(Record::decode(&bytes), Ok(record));
}

proptest! {
    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(record) = Record::decode(&bytes) {
            let mut again = Vec::new();
            record.encode(&mut again);
            prop_assert_eq!(Record::decode(&again), Ok(record));
        }
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in ".{0,300}") {
        if let Ok(name) = TopicName::parse(&text) {
            prop_assert_eq!(name.as_str(), text.as_str());
        }
        let _checked = RunId::parse(&text);
    }
}
