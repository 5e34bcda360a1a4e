import { createInterface } from 'node:readline/promises'
import type { CommandContext } from './command.ts'

/** Asks whoever sits before the terminal; where nobody does the answer is no. */
export async function confirm({ terminal, signal }: CommandContext, question: string): Promise<boolean> {
  if (!terminal.interactive) return false
  const dialogue = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await dialogue.question(question, { signal })).trim())
  } finally {
    dialogue.close()
  }
}
