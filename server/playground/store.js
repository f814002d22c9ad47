// What this browser ran, kept in the browser: newest first, the oldest dropped. Without a place to keep it, in memory.

const MOST = 60;
const NAME = "darkroom-playground";
const TABLE = "predictions";

/** What could not be stored, newest first. */
let memory = [];

/**
 * All that is kept. Each is {id, path, input, startedAt}, and once it has ended {status, output, error, metrics, logs,
 * endedAt} besides.
 */
export async function kept() {
  const stored = await within("readonly", (table) => table.getAll()).catch(() => []);
  const known = new Set(memory.map((one) => one.id));
  return [...memory, ...stored.filter((one) => !known.has(one.id))].sort(newestFirst).slice(0, MOST);
}

/** Keep one; returns all. Where there is no room for it, the oldest make some. */
export async function keep(entry) {
  memory = memory.filter((one) => one.id !== entry.id);
  try {
    await put(entry);
    const ids = await idsByAge();
    for (const id of ids.slice(0, -MOST)) await within("readwrite", (table) => table.delete(id));
  } catch {
    memory = [entry, ...memory].slice(0, MOST);
  }
  return kept();
}

/** Forget one, or, without an id, all; returns the rest. */
export async function forget(id) {
  memory = id ? memory.filter((one) => one.id !== id) : [];
  // Where nothing can be stored there is nothing but memory.
  await within("readwrite", (table) => (id ? table.delete(id) : table.clear())).catch(() => undefined);
  return kept();
}

async function put(entry) {
  for (;;) {
    try {
      return await within("readwrite", (table) => table.put(entry));
    } catch (error) {
      const oldest = (await idsByAge()).find((id) => id !== entry.id);
      if (error?.name !== "QuotaExceededError" || !oldest) throw error;
      await within("readwrite", (table) => table.delete(oldest));
    }
  }
}

async function idsByAge() {
  const stored = await within("readonly", (table) => table.getAll());
  return stored.sort((one, other) => newestFirst(other, one)).map((one) => one.id);
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
      transaction.onabort = () => reject(transaction.error);
      transaction.oncomplete = () => resolve(answer.result);
      const answer = ask(transaction.objectStore(TABLE));
      // Closed once the transaction has ended.
      database.close();
    };
  });
}
