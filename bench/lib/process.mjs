// Starts child.mjs for a peer or a server, pinned where the machine can, and talks to it: one question, one answer.
import { spawn, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'

const child = fileURLToPath(new URL('child.mjs', import.meta.url))
const canPin = availableParallelism() > 1 && spawnSync('taskset', ['-c', '0', 'true']).status === 0
const CORE = { peer: 0, server: 1 }
/**
 * For every peer. While others run it is idle, as no client is that matters: its engine then collects, throws optimised code
 * away, and what it costs to make it again would be taken for the price of requests.
 */
const BUSY = ['--no-memory-reducer']
/** Nothing that is measured takes half of it; who has not answered by then never will. */
const MOST_SECONDS = 180

/** @returns when it is ready. `info` is what a server said of itself. */
export async function startProcess(role, suite, peer = '', start = {}) {
  const flags = role === 'peer' ? BUSY : []
  const node = [process.execPath, ...flags, child, role, suite, peer]
  const [command, ...args] = canPin ? ['taskset', '-c', String(CORE[role]), ...node] : node
  const running = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced' })
  const ask = (question) =>
    new Promise((resolve, reject) => {
      const settle = (how) => (value) => {
        clearTimeout(patience)
        running.off('message', onMessage).off('exit', onExit).off('error', onError)
        how(value)
      }
      const onMessage = settle((answer) =>
        answer.error === undefined
          ? resolve(answer)
          : reject(new Error(`${peer || role} of ${suite}: ${answer.error}`)),
      )
      const onExit = settle((code) => reject(new Error(`${peer || role} of ${suite} ended with ${code}`)))
      const onError = settle(reject)
      const late = `${peer || role} of ${suite} has not answered '${question.type}' for ${MOST_SECONDS} s`
      const patience = setTimeout(() => {
        running.kill()
        onError(new Error(late))
      }, MOST_SECONDS * 1000)
      running.on('message', onMessage).on('exit', onExit).on('error', onError)
      running.send(question)
    })
  const { info } = await ask({ type: 'open', ...start })
  return { info, ask, stop: () => running.disconnect() }
}
