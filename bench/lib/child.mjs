// The process of one peer, or of one suite's server. Ends when its parent lets go of it.
import { cpuUsage } from 'node:process'

const [role, suiteName, peerName] = process.argv.slice(2)
const { default: suite } = await import(`../suites/${suiteName}.mjs`)
let opened
let prepared

const ANSWERS = {
  async open(context) {
    if (role === 'peer') {
      opened = await suite.peers[peerName].open(context)
      return {}
    }
    opened = await suite.server()
    return { info: opened.info }
  },
  async prepare({ case: name, only }) {
    await prepared?.close?.()
    prepared = await opened.prepare(suite.cases.find((theCase) => theCase.name === name))
    if (prepared === undefined) return { absent: true }
    return { absent: false, result: only ? undefined : await prepared.result?.() }
  },
  async run({ units }) {
    const wallStart = performance.now()
    if (prepared.measure !== undefined) {
      const measured = await prepared.measure()
      return { ...measured, wall: performance.now() - wallStart }
    }
    const cpuStart = cpuUsage()
    await prepared.run(units)
    const { user, system } = cpuUsage(cpuStart)
    return { units, wall: performance.now() - wallStart, cpu: (user + system) / 1000 }
  },
}

process.on('message', async (question) => {
  try {
    process.send(await ANSWERS[question.type](question))
  } catch (error) {
    process.send({ error: error?.stack ?? String(error) })
  }
})
process.on('disconnect', async () => {
  await prepared?.close?.()
  await opened?.close?.()
  process.exit()
})
