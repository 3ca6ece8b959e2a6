use std::time::Duration;

/// Waits between attempts to reach Redis: from 50 ms, doubling, up to 5 s, each with jitter.
pub(crate) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(5);

    pub fn new() -> Self {
        Self(Self::FIRST)
    }

    pub async fn wait(&mut self) {
        tokio::time::sleep(self.0.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        self.0 = (self.0 * 2).min(Self::LONGEST);
    }

    pub fn reset(&mut self) {
        self.0 = Self::FIRST;
    }
}
