use super::Room;
use crate::{Condition, PutOptions};

pub(super) async fn deleting_is_idempotent(room: Room) {
    room.put("a", "x").await;
    for _ in 0..3 {
        room.store.delete(&room.key("a")).await.unwrap();
        assert!(!room.is_there("a").await);
    }
    room.store.delete(&room.key("never/was/there")).await.unwrap();
    assert!(room.list("", 10).await.is_empty());
}

pub(super) async fn deleting_one_leaves_its_neighbours(room: Room) {
    for name in ["d/a", "d/b", "d/b/c", "D/b"] {
        room.put(name, name).await;
    }
    room.store.delete(&room.key("d/b")).await.unwrap();
    room.store.delete(&room.key("d")).await.unwrap();
    assert_eq!(room.list("", 10).await, ["D/b", "d/a", "d/b/c"]);
    for name in ["d/a", "d/b/c", "D/b"] {
        assert_eq!(room.get(name).await, name);
    }
}

pub(super) async fn what_was_deleted_can_be_made_again(room: Room) {
    let old = room.put("x/y/z", "one").await;
    for i in 0..3 {
        room.store.delete(&room.key("x/y/z")).await.unwrap();
        let condition = PutOptions { condition: Condition::IfMatch(old.etag.clone()), ..PutOptions::default() };
        assert!(room.put_with("x/y/z", "late", condition).await.unwrap_err().is_precondition_failed());
        let made = room.put("x/y/z", format!("again {i}")).await;
        assert!(made.created && made.etag != old.etag);
    }
    assert_eq!(room.get("x/y/z").await, "again 2");
}
