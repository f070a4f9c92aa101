import WebSocket from 'ws';

globalThis.WebSocket ??= WebSocket; // Node.js before version 22 has none

export const url = `${process.env.URL}/graphql`;
export const socketUrl = url.replace(/^http/, 'ws');
export const headers = { Authorization: `Bearer ${process.env.TOKEN}` };
export const query = `subscription ($after: String) {
  changes(after: $after) { position kind type nodeId changedFields }
}`;

let after = process.env.AFTER; // stored with the copy

// Applies one result. Here, the copy is the output; elsewhere, the position is stored in the same transaction.
export function apply({ data, errors, error = errors }) {
  if (error) throw error;
  console.log(JSON.stringify(data.changes));
  after = data.changes.position;
}

// Follows from the last position, and again a second after the connection has broken off.
export async function keepFollowing(follow) {
  for (;;) {
    try {
      await follow({ after });
    } catch (error) {
      console.error(error); // UNAUTHENTICATED, SNAPSHOT_REQUIRED, 4401 and 4403 need more than another try
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}
