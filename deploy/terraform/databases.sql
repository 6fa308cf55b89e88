-- The three databases, each with an owner of its own who gets into no other. Run once, by the master
-- user, from a pod within the cluster:
--
--   psql "host=HOST user=postgres dbname=postgres sslmode=require" --file databases.sql
--
-- The passwords come from the environment, since a command line is visible to others: CATALOG_PASSWORD,
-- DAGSTER_PASSWORD, MLFLOW_PASSWORD.
\set ON_ERROR_STOP on
\getenv catalog_password CATALOG_PASSWORD
\getenv dagster_password DAGSTER_PASSWORD
\getenv mlflow_password MLFLOW_PASSWORD

CREATE ROLE visionops LOGIN PASSWORD :'catalog_password';
CREATE ROLE dagster LOGIN PASSWORD :'dagster_password';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow_password';

-- Whoever gives a database away must be able to act for who gets it.
GRANT visionops, dagster, mlflow TO CURRENT_USER;
CREATE DATABASE visionops OWNER visionops;
CREATE DATABASE dagster OWNER dagster;
CREATE DATABASE mlflow OWNER mlflow;
-- By default everybody may connect to each.
REVOKE CONNECT, TEMPORARY ON DATABASE visionops, dagster, mlflow FROM PUBLIC;
REVOKE visionops, dagster, mlflow FROM CURRENT_USER;
