//! A read as it runs: files that change or are not there, and a reader who goes away.

use std::fs;
use std::time::Duration;

use provisor_connectors::{ReadRequest, SourceError};
use tokio::sync::mpsc;

use super::folder::{Folder, PEOPLE, runtime};

/// Far more than the buffers and the channel hold, so that a read stops in the middle.
fn many_people() -> String {
    let rows = (0..60_000).map(|number| format!("{number},person-{number}@example.com\n"));
    format!("id,mail\n{}", rows.collect::<String>())
}

/// Reads one chunk, does something to the folder, and reads on.
fn disturbed(folder: &Folder, disturb: impl FnOnce(&Folder)) -> Result<(), SourceError> {
    let source = folder.source();
    let (sender, mut receiver) = mpsc::channel(1);
    runtime().block_on(async {
        let request = ReadRequest::default();
        let drain = async {
            receiver.recv().await.expect("a first chunk");
            disturb(folder);
            while receiver.recv().await.is_some() {}
        };
        tokio::join!(source.read(&request, sender), drain)
            .0
            .map(|_| ())
    })
}

#[test]
fn a_file_that_changes_while_it_is_read_is_noticed() {
    let text = many_people();
    let folder = Folder::with_groups(&text, "id,members\ng,1\n");
    disturbed(&folder, |_| {}).unwrap();

    // Cut at the end of a row, which no rule about rows can see.
    let kept = text[..text.len() / 2].rfind('\n').unwrap() + 1;
    let result = disturbed(&folder, |folder| {
        let people = fs::OpenOptions::new()
            .write(true)
            .open(folder.path("people.csv"));
        people.unwrap().set_len(kept as u64).unwrap();
    });
    assert!(
        matches!(result, Err(SourceError::Changed { .. })),
        "{result:?}"
    );

    let folder = Folder::with_groups(&text, "id,members\ng,1\n");
    let result = disturbed(&folder, |folder| {
        fs::write(folder.path("new.csv"), &text).unwrap();
        fs::rename(folder.path("new.csv"), folder.path("people.csv")).unwrap();
    });
    assert!(
        matches!(result, Err(SourceError::Changed { .. })),
        "{result:?}"
    );

    let result = disturbed(&folder, |folder| {
        fs::write(folder.path("groups.csv"), "id,members\nanother,1\n").unwrap();
    });
    assert!(
        matches!(result, Err(SourceError::Changed { .. })),
        "{result:?}"
    );

    let result = disturbed(&folder, |folder| {
        fs::remove_file(folder.path("people.csv")).unwrap();
    });
    assert!(
        matches!(result, Err(SourceError::Changed { .. })),
        "{result:?}"
    );
}

#[test]
fn a_read_that_nobody_listens_to_ends() {
    let folder = Folder::with_users(many_people());
    let source = folder.source();
    let (sender, receiver) = mpsc::channel(1);
    drop(receiver);
    let request = ReadRequest::default();
    let result = runtime().block_on(source.read(&request, sender));
    assert!(matches!(result, Err(SourceError::Abandoned)), "{result:?}");

    let (sender, mut receiver) = mpsc::channel(1);
    let runtime = runtime();
    runtime.block_on(async {
        let read = source.read(&request, sender);
        tokio::select! {
            _ = read => panic!("the read cannot finish while nobody takes the chunks"),
            _ = receiver.recv() => {}
        }
    });
    drop(receiver);
    runtime.shutdown_timeout(Duration::from_secs(10));
}

#[test]
fn a_file_that_is_not_there_is_named_and_the_system_is_not_repeated() {
    let folder = Folder::with_users(PEOPLE).set("groups = \"none.csv\"");
    let error = folder.read().expect_err("there is no such file");
    let source = std::error::Error::source(&error)
        .expect("the system's error")
        .to_string();
    assert!(error.to_string().ends_with("none.csv"));
    assert!(!error.to_string().contains(&source));

    let folder = Folder::with_users(PEOPLE).set("groups = \".\"");
    assert!(matches!(folder.read(), Err(SourceError::File { .. })));
}
