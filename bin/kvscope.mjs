#!/usr/bin/env node
// What `npx kvscope` runs: the program is TypeScript, so the loader comes first.
import { register } from 'tsx/esm/api'

register()
await import('../src/cli/main.ts')
