// What a connection costs in memory, whatever its peer has sent.
import { expect, it } from 'vitest'
import { H11Connection } from '../../src/h11/index.ts'
import type { Fields } from '../../src/http/index.ts'
import { collect } from '../fixtures/collect.ts'

function heapUsed(): number {
  collect()
  return process.memoryUsage().heapUsed
}

const CONNECTIONS = 100
/** As large as it may be, of names that no other connection has. */
const head = (i: number): string => {
  const names = Array.from({ length: 100 }, (_, k) => `${i}-${k}-`.padEnd(600, 'N'))
  return `GET / HTTP/1.1\r\nHost: a\r\n${names.map((name) => `${name}: v\r\n`).join('')}\r\n`
}
function answered(i: number): { machine: H11Connection; headers: Fields } {
  const machine = new H11Connection('server', { now: 0 })
  const received = new Uint8Array(Buffer.from(head(i)))
  machine.receiveData(received.subarray(0, 20_000), 0)
  machine.nextEvent()
  machine.receiveData(received.subarray(20_000), 0)
  const request = machine.nextEvent()
  if (request?.type !== 'request') throw new Error(`${request?.type} is no request`)
  while (machine.nextEvent() !== undefined);
  machine.sendResponse(request.exchange, { status: 204, headers: [] }, { end: true })
  machine.takeOutput()
  machine.nextExchange()
  return { machine, headers: request.headers }
}

it('an idle connection does not hold what was large', () => {
  answered(0)
  const before = heapUsed()
  const idle = Array.from({ length: CONNECTIONS }, (_, i) => answered(i).machine)
  expect((heapUsed() - before) / CONNECTIONS).toBeLessThan(8_000)
  expect(idle.every((machine) => machine.active === 0)).toBe(true)
})

it('an idle client costs half a kilobyte', () => {
  const answer = new Uint8Array(Buffer.from('HTTP/1.1 204 No Content\r\nServer: a\r\n\r\n'))
  const used = (): H11Connection => {
    const machine = new H11Connection('client', { now: 0 })
    machine.sendRequest({ method: 'GET', target: '/', authority: 'a', headers: [] }, { end: true })
    machine.takeOutput()
    machine.receiveData(answer, 0)
    while (machine.nextEvent() !== undefined);
    return machine
  }
  for (let i = 0; i < 100; i++) used()
  const before = heapUsed()
  // So many that what the engine keeps for itself meanwhile, some 300 KB now and then, does not count.
  const idle = Array.from({ length: 100 * CONNECTIONS }, used)
  expect((heapUsed() - before) / idle.length).toBeLessThan(512)
  expect(idle.every((machine) => machine.capacity === 1)).toBe(true)
})

it('fields that are kept cost a few times their bytes', () => {
  answered(0)
  const before = heapUsed()
  const kept = Array.from({ length: CONNECTIONS }, (_, i) => answered(i).headers)
  expect((heapUsed() - before) / CONNECTIONS).toBeLessThan(4 * head(0).length)
  expect(kept.every((headers) => headers.length === 101)).toBe(true)
})
