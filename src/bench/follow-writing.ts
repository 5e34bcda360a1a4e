/** Reports behind the writing, in order; a report that fails ends it at its next word. */
export function followWriting(report: (fraction: number) => Promise<void>) {
  let last = Promise.resolve()
  let failed: { error: unknown } | null = null
  const endIfFailed = () => {
    if (failed !== null) throw failed.error
  }
  return {
    onProgress(fraction: number): void {
      endIfFailed()
      last = last
        .then(() => report(fraction))
        .catch((error: unknown) => {
          failed ??= { error }
        })
    },
    async told(): Promise<void> {
      await last
      endIfFailed()
    },
  }
}
