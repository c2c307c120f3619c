import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batch, newFile, record, WriterRig } from './rig.ts'

test('who is alone with a file leaves no gaps between transactions, who sees others write does', () => {
  const file = newFile()
  const create = new WriterRig(file)
  create.declare('orders', 1, 0)
  create.close()
  const rig = new WriterRig(file)
  rig.append([batch([record('a')])])
  rig.append([batch([record('b')])])
  assert.equal(rig.pauses, 0)
  const other = new WriterRig(file)
  other.append([batch([record('c')])])
  rig.append([batch([record('d')])])
  rig.append([batch([record('e')])])
  assert.equal(rig.pauses, 1)
  other.close()
  rig.close()
})
