import { beforeAll, describe, expect, it, vi } from 'vitest'
import { requireRun } from '../../src/db/runs.ts'
import { inEveryLane, type Lane, openLanes } from '../support/lanes.ts'
import { isAlive, until } from '../support/processes.ts'
import { expectFinishedOnce } from '../support/run-checks.ts'
import { manyTrialsSpec, tinySeries, tinySpec } from '../support/tiny-spec.ts'

vi.setConfig({ testTimeout: 300_000 })

/** Lets the database note results of an attempt that is not the run's own: the sweeper deletes them within moments. */
async function watchLateWrites({ submitter: { db } }: Lane): Promise<void> {
  await db.$executeRawUnsafe('CREATE TABLE late_write (attempt int)')
  await db.$executeRawUnsafe(`
    CREATE FUNCTION note_late_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO late_write SELECT NEW.attempt FROM "Run" AS run WHERE run.id = NEW."runId" AND run.attempt <> NEW.attempt;
      RETURN NEW;
    END $$`)
  await db.$executeRawUnsafe(
    'CREATE TRIGGER note_late_write AFTER INSERT ON "Series" FOR EACH ROW EXECUTE FUNCTION note_late_write()',
  )
}

describe('a worker that is stopped for so long that another takes its run', () => {
  const lanes = openLanes()
  beforeAll(() => inEveryLane(lanes, watchLateWrites))

  it.each(['between two writes', 'before the end'] as const)(
    '%s, writes nothing more of it when it goes on, ends its child and takes further runs',
    async (moment) => {
      await inEveryLane(lanes, async (lane) => {
        const { submitter, worker: stopped } = lane
        const { db } = submitter
        stopped.waitAt(moment)
        const runId = await submitter.submit(manyTrialsSpec())
        await stopped.reached(moment)
        const child = stopped.children.at(-1) ?? 0
        stopped.process.kill('SIGSTOP')

        const successor = await lane.startWorker()
        successor.waitAt('in a trial')
        await successor.reached('in a trial')
        expect(await requireRun(db, runId)).toMatchObject({ status: 'RUNNING', attempt: 2 })

        stopped.process.kill('SIGCONT')
        stopped.goOn()
        await until('it has let go of the run', () =>
          stopped.log().includes(`"runId":"${runId}","attempt":1,"end":"lost"`),
        )
        expect(isAlive(child)).toBe(false)
        expect(await requireRun(db, runId)).toMatchObject({ status: 'RUNNING', attempt: 2 })
        successor.goOn()
        expect((await expectFinishedOnce(db, runId, tinySeries)).attempt).toBe(2)
        expect(await db.$queryRaw`SELECT attempt FROM late_write`).toEqual([])

        expect(await successor.terminate()).toBe(0)
        const next = await submitter.submit(tinySpec())
        const { attempt, workerId } = await expectFinishedOnce(db, next, tinySeries)
        const { pid } = await db.worker.findUniqueOrThrow({ where: { id: workerId ?? '' } })
        expect({ attempt, pid }).toEqual({ attempt: 1, pid: stopped.process.pid })
      })
    },
  )
})
