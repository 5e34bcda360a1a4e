/**
 * The results of `work` for every item, in their order, with at most `parallel` under way at a time. Where one fails no
 * more are begun, those under way are waited for, and the first failure is thrown.
 */
export async function mapBounded<Item, Result>(
  items: readonly Item[],
  parallel: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  let next = 0
  let failed = false
  const worker = async () => {
    for (let index = next++; index < items.length && !failed; index = next++) {
      try {
        // The bounds are checked above; an item may be undefined itself.
        results[index] = await work(items[index] as Item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: Math.min(parallel, items.length) }, worker))
  const rejected = ended.find((end) => end.status === 'rejected')
  if (rejected) throw rejected.reason
  return results
}
