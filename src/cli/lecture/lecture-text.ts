import type { Style } from '../../render/style.ts'
import { wrap } from '../../render/table.ts'
import { formatDecimalBytes } from '../../render/units.ts'
import { conclude } from '../conclusions.ts'
import { sentenceList } from '../text-parts.ts'
import { asItShouldBeFindings, asItWasFindings, headFindings, honestPairFindings } from './findings.ts'
import type { LectureNeeds } from './lecture-needs.ts'
import type { LecturePlan } from './lecture-plan.ts'
import type { Replay } from './replay.ts'

/** What is about to be measured, and what it takes. */
export function openingText(plan: LecturePlan, needs: LectureNeeds): string {
  return [
    ...modelLines(plan),
    `disk    ${formatDecimalBytes(needs.diskBytes)} more`,
    `memory  ${formatDecimalBytes(needs.memoryBytes)} while it runs, of ${formatDecimalBytes(needs.availableBytes)} that are free`,
  ].join('\n')
}

/** Whose weights are measured: which are real, and which only have the shape. */
function modelLines({ asItWas }: LecturePlan): string[] {
  return asItWas.subjects.flatMap(({ name, source }) => {
    const { local, hub } = source
    const stored = hub == null ? local?.path : `${hub.repo} of the hub at ${hub.revision}`
    const where = stored ?? 'SYNTHETIC WEIGHTS of its shape, drawn from a seed'
    return wrap(`${name}: ${where}`, 80)
  })
}

/** What each part of the experiment shows, in 80 columns. */
export function lectureText(plan: LecturePlan, replay: Replay, style: Style): string {
  const { asItWas, asItShouldBe, honestPair, models } = replay
  const parts: [string, string[]][] = [
    ['AS IT WAS: ONE COLD FORWARD PASS OF EACH', asItWasFindings(asItWas)],
    [
      'AS IT SHOULD BE: WARM, INTERLEAVED, AT DEPTH',
      [...asItShouldBeFindings(asItShouldBe), ...conclude(asItShouldBe)],
    ],
    [
      'THE HONEST PAIR: ONE MODEL, ITS K/V HEADS POOLED INTO ONE',
      [...honestPairFindings(honestPair), ...conclude(honestPair)],
    ],
    ['THE HEADS', models.flatMap(headFindings)],
  ]
  return [
    style.bold("THE LECTURE'S EXPERIMENT, AS IT WAS AND AS IT SHOULD BE"),
    ...modelLines(plan),
    ...parts.flatMap(([title, sentences]) => ['', style.bold(title), ...sentenceList(sentences)]),
  ].join('\n')
}
