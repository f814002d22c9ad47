// What this browser ran, kept in the browser: newest first, the oldest dropped. Without a place to keep it, in memory.

const MOST = 60;
const NAME = "darkroom-playground";
const TABLE = "predictions";

let memory = [];

/** All that is kept. Each is {id, at, input, status, output, error, metrics, logs, startedAt, endedAt}. */
export async function kept() {
  try {
    const all = await within("readonly", (table) => table.getAll());
    return all.sort(newestFirst);
  } catch {
    return memory;
  }
}

/** Keep one; returns all. */
export async function keep(entry) {
  memory = [entry, ...memory.filter((one) => one.id !== entry.id)].slice(0, MOST);
  try {
    await within("readwrite", (table) => table.put(entry));
    const all = await kept();
    for (const { id } of all.slice(MOST)) await within("readwrite", (table) => table.delete(id));
    return all.slice(0, MOST);
  } catch {
    return memory;
  }
}

/** Forget one, or, without an id, all; returns the rest. */
export async function forget(id) {
  memory = id ? memory.filter((one) => one.id !== id) : [];
  try {
    await within("readwrite", (table) => (id ? table.delete(id) : table.clear()));
  } catch {
    // There is nothing but memory.
  }
  return kept();
}

const newestFirst = (one, other) => other.startedAt - one.startedAt;

function within(mode, ask) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(NAME, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(TABLE, { keyPath: "id" });
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const transaction = database.transaction(TABLE, mode);
      const answer = ask(transaction.objectStore(TABLE));
      transaction.oncomplete = () => resolve(answer.result);
      transaction.onabort = () => reject(transaction.error);
      transaction.onerror = () => reject(transaction.error);
      // Closed once the transaction has ended.
      database.close();
    };
  });
}
