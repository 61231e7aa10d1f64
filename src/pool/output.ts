// What the machines have to say leaves, and a request counts as sent when the network has accepted its last byte.
//
// Output is taken when nothing else is left to tell, so that what one turn asks for leaves together. What it was that
// left is not known here.
import { MAX_AHEAD } from '../http/index.ts'
import type { LiveConnection } from './connection.ts'
import { NEVER, type Attempt, type Exchange } from './exchange.ts'
import type { PoolState } from './state.ts'
import { traceStep } from './tracing.ts'

/** Its machine has something to say: it is taken when everything else has been told. */
export function markDirty(pool: PoolState, connection: LiveConnection): void {
  if (connection.dirty) return
  connection.dirty = true
  pool.dirty.push(connection)
}

export function write(pool: PoolState, connection: LiveConnection): void {
  const { machine, link, closing, writeFailure } = connection
  if (link.destroyed || closing || writeFailure !== undefined) return
  // What was said in HTTP leaves ahead of what goes through a tunnel.
  const room = connection.tunnel === undefined ? MAX_AHEAD - (connection.written - connection.accepted) : Infinity
  if (room > 0 && machine.outputBytes > 0) {
    // Where nothing has to pass, a large chunk leaves whole: in pieces it costs a fifth more.
    const chunks = machine.takeOutput(connection.multiplexed ? room : Infinity)
    let bytes = 0
    for (const chunk of chunks) bytes += chunk.byteLength
    connection.written += bytes
    if (bytes > 0) pool.commands.push({ type: 'write', link: link.id, chunks })
    for (const id of machine.taken) {
      const exchange = connection.exchanges.get(id)
      if (exchange?.attempt.leaving !== true) continue
      exchange.attempt.movedAt = pool.now
      if (machine.unsent(id) === 0) written(pool, exchange, connection)
    }
    pool.drain(pool, connection)
  }
}

// ── a request has left ──

/** Its last byte is the machine's; it counts as sent when the network has accepted it. */
export function handedOver(pool: PoolState, exchange: Exchange): void {
  const { attempt } = exchange
  const { connection } = attempt
  attempt.leaving = true
  if (exchange.traced && attempt.step === 'send_request_body') traceStep(pool, exchange, 'receive_response_headers')
  if (connection?.machine.unsent(attempt.onConnection) === 0) written(pool, exchange, connection)
}

/** All of it has left the machine. */
function written(pool: PoolState, exchange: Exchange, connection: LiveConnection): void {
  const { attempt } = exchange
  attempt.leaving = false
  attempt.sentMark = connection.written
  if (connection.accepted >= attempt.sentMark) requestSent(pool, connection, attempt)
  else connection.exchanges.left(attempt)
}

export function requestSent(pool: PoolState, { exchanges }: LiveConnection, attempt: Attempt): void {
  const exchange = exchanges.get(attempt.onConnection)
  if (exchange === undefined || attempt.sentAt !== NEVER) return
  attempt.sentAt = pool.now
  if (exchange.stage !== 'sending') return
  exchange.stage = 'waiting'
  attempt.movedAt = pool.now
  pool.timers.after(exchange.ioDeadline, exchange.timeouts.read, pool.now)
}
