// Starts everything that package.json's scripts name, on a fresh clone too: sees that Node is new enough, that
// node_modules is what package-lock.json says and that generated and compiled files are fresh, then runs the command.
// Plain Node, no dependencies, and until the version is known no syntax that an old Node could not read.
const least = [20, 19]
const [major, minor] = process.versions.node.split('.').map(Number)
if (major < least[0] || (major === least[0] && minor < least[1])) {
  console.error(
    `kvscope needs Node ${least.join('.')} or newer; this is Node ${process.versions.node} (${process.execPath}).`,
  )
  process.exit(1)
}
import('./prepare.mjs')
  .then(({ prepare }) => prepare())
  .then(() => import('./commands.mjs'))
  .then(({ runCommand }) => runCommand(process.argv.slice(2)))
  .then((code) => {
    process.exitCode = code
  })
  .catch((error) => {
    console.error(error instanceof Error && error.cause === 'told' ? error.message : error)
    process.exitCode = 1
  })
