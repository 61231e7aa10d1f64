import { describe } from 'vitest'
import { nodeNetwork } from '../../src/drivers/networks/index.ts'
import { conforms } from './conformance.ts'
import { socketBench } from './sockets.ts'

describe('the network of Node', () => conforms(socketBench('node', nodeNetwork())))
