// Questions to the server that this page came from.

const PATIENCE_MS = 15000;

export async function ask(path) {
  // Not relative to the page: its address may carry the token, and such an address is refused.
  const url = new URL(path, location.origin + location.pathname);
  const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `HTTP ${answer.status}`);
  }
  return answer.json();
}
