import type { BenchmarkSpec } from '../jobs/spec.ts'
import type { Warning } from '../stats/measured-series.ts'
import type { PlannedTest } from './plan.ts'
import type { SubjectPlan } from './subject-config.ts'
import { subjectCost } from './subject-cost.ts'

type CostedSubject = Pick<SubjectPlan, 'name' | 'config' | 'exported'>

/** What the way it was asked keeps a run from showing, whatever it measures: ORDER_FIXED, NOT_WARMED_UP, NO_CACHE_READ, LOADED_ONCE. */
export function planWarnings(
  spec: Pick<BenchmarkSpec, 'order' | 'warmUp'> & { reload: boolean },
  subjects: readonly CostedSubject[],
  tests: readonly PlannedTest[],
): Warning[] {
  if (tests.length === 0) return []
  const warnings: Warning[] = []
  if (spec.order === 'GIVEN' && subjects.length > 1) {
    warnings.push({
      code: 'ORDER_FIXED',
      message: `every block timed ${subjects.map(({ name }) => name).join(', then ')}: what comes first may be slower for that alone`,
      advice: 'Take order RANDOM, which lays heat, caches and neighbours on all alike.',
    })
  }
  if (!spec.warmUp) {
    warnings.push({
      code: 'NOT_WARMED_UP',
      message:
        'the first trial counts as it is: it also times pages read for the first time, memory taken and threads started',
      advice: 'Take warmUp true; the cold pass of the prompt is measured by itself, as COLD.',
    })
  }
  if (subjects.length > 1 && !readsCache(subjects, tests)) {
    warnings.push({
      code: 'NO_CACHE_READ',
      message: `no test reads a K/V cache (${tests.map(({ test }) => test || 'the forward of the prompt').join(', ')}, from an empty cache): no effect of the cache can show`,
      advice: 'Add tests that generate tokens at a depth, such as tg32 @ d512 and tg32 @ d4096.',
    })
  }
  if (subjects.length > 1 && !spec.reload && tests.some(({ generatedTokens }) => generatedTokens > 0)) {
    warnings.push({
      code: 'LOADED_ONCE',
      message:
        'each model was loaded once: where its weights came to lie in memory shifts its decode by some per cent for the whole run, and no number of blocks averages that out',
      advice:
        'Leave reload out (kvscope bench without --no-reload) before you believe a difference of decode below 10 %.',
    })
  }
  return warnings
}

function readsCache(subjects: readonly CostedSubject[], tests: readonly PlannedTest[]): boolean {
  return subjects.some((subject) => tests.some((test) => subjectCost(subject, test).kvBytesRead > 0))
}
