use futures::StreamExt;
use serde::Serialize;
use shearwater_page::{Client, Error, JobId, JobState, NewRequest, Snapshot};

#[derive(Serialize)]
pub struct Note {
    pub id: String,
    pub text: String,
}

/// Returns once the note is safely on the disk. Those of one id arrive in the order they were saved.
pub async fn save(client: &Client, note: &Note) -> Result<JobId, Error> {
    client.enqueue(NewRequest::post("/api/sink/notes").json(note)?.queue("notes").key(&note.id)).await
}

/// Renders what is stored, now and after each change.
pub async fn show(client: Client, mut render: impl FnMut(Snapshot)) {
    let mut snapshots = client.snapshots();
    while let Some(snapshot) = snapshots.next().await {
        render(snapshot);
    }
}

/// Waits for what comes of a note: true once the server has it, false if it failed or was removed.
pub async fn arrived(client: &Client, id: JobId) -> bool {
    let mut changes = client.watch(id);
    while let Some(Some(job)) = changes.next().await {
        match job.state {
            JobState::Delivered => return true,
            JobState::Failed | JobState::Conflict => return false,
            JobState::Pending | JobState::Syncing | JobState::Blocked => {}
        }
    }
    false
}
