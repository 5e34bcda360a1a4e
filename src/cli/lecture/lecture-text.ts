import type { Style } from '../../render/style.ts'
import { wrap } from '../../render/table.ts'
import { formatDecimalBytes } from '../../render/units.ts'
import { conclude } from '../conclusions.ts'
import { sentenceList } from '../text-parts.ts'
import { asItShouldBeFindings, asItWasFindings, headFindings, honestPairFindings } from './findings.ts'
import type { LectureNeeds } from './lecture-needs.ts'
import type { LecturePlan } from './lecture-plan.ts'
import type { Replay } from './replay.ts'

/** What will be measured, on which weights, and what it takes. */
export function openingText(plan: LecturePlan, needs: LectureNeeds, style: Style): string {
  const models = plan.asItWas.subjects.map(({ name, source }) => {
    const where = source.local == null ? 'SYNTHETIC WEIGHTS of its shape, drawn from a seed' : source.local.path
    return `${name}: ${where}`
  })
  return [
    style.bold("The lecture's experiment, as it was and as it should be"),
    ...models.flatMap((line) => wrap(line, 80)),
    `disk    ${formatDecimalBytes(needs.diskBytes)} more`,
    `memory  ${formatDecimalBytes(needs.memoryBytes)} while it runs, of ${formatDecimalBytes(needs.availableBytes)} that are free`,
  ].join('\n')
}

/** What each part of the experiment shows, in 80 columns. */
export function lectureText({ asItWas, asItShouldBe, honestPair, models }: Replay, style: Style): string {
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
  return parts.map(([title, sentences]) => ['', style.bold(title), ...sentenceList(sentences)].join('\n')).join('\n')
}
