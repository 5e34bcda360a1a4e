import type { BenchmarkSpec, SubjectSpec } from '../jobs/spec.ts'
import { loadTokenizer } from '../models/tokenizer.ts'
import { followWriting } from './follow-writing.ts'
import { ensurePromptFits } from './limits.ts'
import { describeOpened, openSubject, type SubjectCheckpoint, type SubjectPlaces } from './open-subject.ts'
import type { Report } from './progress.ts'
import type { OpenedSubject } from './result.ts'
import type { SubjectPlan } from './subject-config.ts'

/** A subject whose checkpoint is open and whose prompt is tokenized; no weight has been loaded. */
export interface PreparedSubject extends SubjectCheckpoint {
  name: string
  device: SubjectSpec['device']
  threads: number | null
  synthetic: boolean
  opened: OpenedSubject
  /** token ids; null where the spec has no prompt */
  prompt: number[] | null
}

/**
 * Opens every subject's checkpoint, one after the other, and tokenizes the prompt with each one's own tokenizer.
 * @throws AppError CONTEXT_EXCEEDED where the prompt is too long for a model, and those of opening
 */
export async function openSubjects(
  spec: BenchmarkSpec,
  plans: readonly SubjectPlan[],
  places: SubjectPlaces,
  report: Report,
): Promise<PreparedSubject[]> {
  const prepared: PreparedSubject[] = []
  for (const [index, subject] of spec.subjects.entries()) {
    const name = plans[index]?.name ?? `subject ${index}`
    await report(index / spec.subjects.length, `${name}: opening the checkpoint`)
    const writing = followWriting((fraction) =>
      report((index + fraction) / spec.subjects.length, `${name}: writing weights, ${Math.floor(fraction * 100)} %`),
    )
    const opened = await openSubject(subject, places, writing.onProgress)
    await writing.told()
    const prompt = spec.prompt === null ? null : await tokenize(name, spec.prompt, opened)
    prepared.push({
      ...opened,
      name,
      device: subject.device,
      threads: subject.threads,
      synthetic: opened.checkpoint.synthetic,
      opened: describeOpened(index, opened),
      prompt,
    })
  }
  return prepared
}

async function tokenize(name: string, prompt: string, { checkpoint, config }: SubjectCheckpoint): Promise<number[]> {
  const tokenizer = await loadTokenizer(checkpoint, config)
  const tokens = tokenizer.encode(prompt)
  ensurePromptFits(name, config, tokens)
  return tokens
}
