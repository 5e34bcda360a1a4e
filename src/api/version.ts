import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { packageFile } from '../package-folder.ts'

const manifest = z.object({ version: z.string() })

/** kvscope's version, from package.json. */
export const version = manifest.parse(JSON.parse(readFileSync(packageFile('package.json'), 'utf8'))).version
