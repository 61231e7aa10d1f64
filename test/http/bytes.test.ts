// What counts as bytes, for every machine.
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { H11Connection } from '../../src/h11/index.ts'
import { HpackDecoder } from '../../src/h2/hpack/index.ts'
import { H2Connection } from '../../src/h2/index.ts'
import { isBytes, type Connection } from '../../src/http/index.ts'

const other = (values: Iterable<number>): Uint8Array =>
  runInNewContext('Uint8Array.from(values)', { values: [...values] }) as Uint8Array

describe('isBytes', () => {
  it.each([new Uint8Array(1), Buffer.alloc(1), other([1])])('%o is', (value) => expect(isBytes(value)).toBe(true))
  it.each([
    [new Uint16Array(1)],
    [new Int8Array(1)],
    [new DataView(new ArrayBuffer(1))],
    [new ArrayBuffer(1)],
    [{ [Symbol.toStringTag]: 'Uint8Array', length: 1 }],
    [[1]],
    ['a'],
    [null],
    [undefined],
  ])('%o is not', (value) => expect(isBytes(value)).toBe(false))
})

const machines = [
  ['HTTP/1.1', (role: 'client' | 'server'): Connection => new H11Connection(role, { now: 0 })],
  ['HTTP/2', (role: 'client' | 'server'): Connection => new H2Connection(role, { now: 0 })],
] as const

describe('where bytes are left out', () => {
  it.each(machines)('%s says what it wants', (_, make) => {
    const machine = make('client')
    for (const none of [undefined, null] as never[]) {
      expect(() => machine.receiveData(none, 0)).toThrow('bytes must be a Uint8Array')
      expect(() => machine.sendRaw(none)).toThrow('bytes must be a Uint8Array')
    }
  })
})

describe('bytes of another realm, as tests in a vm context have', () => {
  it.each(machines)('%s receives and sends', (_, make) => {
    const client = make('client')
    const server = make('server')
    const head = { method: 'POST', scheme: 'http', authority: 'a', target: '/', headers: [] } as const
    const id = client.sendRequest({ ...head, content: { length: 3 } })
    client.sendData(id, other([1, 2, 3]), true)
    for (const bytes of client.takeOutput()) server.receiveData(other(bytes), 0)
    const got: number[] = []
    for (let event; (event = server.nextEvent()) !== undefined; ) if (event.type === 'data') got.push(...event.data)
    expect(got).toEqual([1, 2, 3])
  })
  it('HPACK decodes', () => expect([...new HpackDecoder().decode(other([0x82]))]).toEqual([[':method', 'GET']]))
})
