-- Brokers must learn of the principals of every organization: another epoch makes each of them ask for everything again.
UPDATE installation SET epoch = epoch + 1;
