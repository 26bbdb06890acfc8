use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::Barrier;

use super::{Room, pattern};
use crate::{Condition, Error, GetOptions, PutOptions, PutOutcome, collect};

/// Everybody writes at once under one condition; gives back who got through, with the outcome.
/// Each round writes what no other did: the same content again may have the same tag again.
async fn race(room: &Room, name: &str, round: usize, condition: &Condition) -> Vec<(usize, PutOutcome)> {
    let barrier = Arc::new(Barrier::new(room.options.racers));
    let racers = (0..room.options.racers).map(|racer| {
        let (room, name, barrier, condition) = (room.clone(), name.to_owned(), Arc::clone(&barrier), condition.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            let options = PutOptions { condition, ..PutOptions::default() };
            match room.put_with(&name, format!("racer {racer} in round {round}"), options).await {
                Ok(outcome) => Some((racer, outcome)),
                Err(Error::PreconditionFailed { .. }) => None,
                Err(error) => panic!("racer {racer}: {error}"),
            }
        })
    });
    join_all(racers).await.into_iter().filter_map(Result::unwrap).collect()
}

pub(super) async fn if_absent_has_one_winner(room: Room) {
    for round in 0..8 {
        let name = format!("fresh/directory {round}/a");
        let winners = race(&room, &name, round, &Condition::IfAbsent).await;
        let [(winner, outcome)] = &winners[..] else { panic!("winners: {winners:?}") };
        assert!(outcome.created);
        assert_eq!(room.get(&name).await, format!("racer {winner} in round {round}"));
        assert_eq!(room.store.head(&room.key(&name)).await.unwrap().etag, outcome.etag);
    }
}

pub(super) async fn if_match_has_one_winner(room: Room) {
    let mut etag = room.put("a", "nobody").await.etag;
    for round in 0..8 {
        let winners = race(&room, "a", round, &Condition::IfMatch(etag.clone())).await;
        let [(winner, outcome)] = &winners[..] else { panic!("winners: {winners:?}") };
        assert_eq!(room.get("a").await, format!("racer {winner} in round {round}"));
        etag.clone_from(&outcome.etag);
    }
}

/// Each version is of one pattern and of a size of its own: a mixture would show.
pub(super) async fn readers_see_whole_objects(room: Room) {
    let size = room.options.large_bytes / 4;
    let version = move |seed: u64| pattern(seed, size + 1000 * usize::try_from(seed).unwrap());
    room.put("a", version(0)).await;
    let writers = (0..4_u64).map(|writer| {
        let room = room.clone();
        tokio::spawn(async move {
            for round in 0..4 {
                room.put("a", version(writer * 4 + round)).await;
            }
        })
    });
    let readers = (0..4).map(|_| {
        let room = room.clone();
        tokio::spawn(async move {
            for _ in 0..8 {
                let object = room.store.get(&room.key("a"), GetOptions::default()).await.unwrap();
                let size_told = object.meta.size;
                let content = collect(object.body, usize::MAX).await.unwrap();
                assert_eq!(content.len() as u64, size_told);
                let seed = (content.len() - size) / 1000;
                assert!(content == version(seed as u64), "not one version");
            }
        })
    });
    for task in join_all(writers.chain(readers).collect::<Vec<_>>()).await {
        task.unwrap();
    }
}

/// Directories come and go under the feet of those who write into them.
pub(super) async fn writes_and_deletes_side_by_side(room: Room) {
    let tasks = (0..8).map(|task| {
        let room = room.clone();
        tokio::spawn(async move {
            let name = format!("deep/er/{}/{task}", task % 2);
            for round in 0..10 {
                let content = format!("{task} {round}");
                assert!(room.put(&name, content.clone()).await.created);
                assert_eq!(room.get(&name).await, content);
                assert!(room.list("deep/er/", 1000).await.contains(&name));
                room.store.delete(&room.key(&name)).await.unwrap();
                assert!(!room.list("deep/", 1000).await.contains(&name));
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert!(room.list("", 10).await.is_empty());
}
