import { cacheClaims } from './lecture-cache-claims.ts'
import { type LectureClaim, readLectureModels } from './lecture-facts.ts'
import { falconClaims } from './lecture-falcon-claims.ts'
import { qualityClaims } from './lecture-quality-claims.ts'
import { timingClaims } from './lecture-timing-claims.ts'

let audited: readonly LectureClaim[] | null = null

/**
 * Every claim of the lecture that kvscope started from, with what must be assumed for it, recomputed from the presets by
 * the code that answers for any other model. In the lecture's order: the cache, what MQA is and costs, the models, the times.
 */
export function auditLecture(): readonly LectureClaim[] {
  if (audited === null) {
    const models = readLectureModels()
    audited = [...cacheClaims(models), ...qualityClaims(models), ...falconClaims(models), ...timingClaims(models)]
  }
  return audited
}
